"""The progress of a search: a live bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from rlcompress.cli.console import stderr
from rlcompress.searches import Progress as Step

_TITLES = {
    "ranges": "activation ranges",
    "sensitivity": "sensitivity table",
    "search": "evaluations",
    "rounding": "learned rounding",
    "final": "final scores",
    "test": "test scores",
}


class SearchBar:
    """Shows phase, evaluations, the best candidate and the front so far, and the time left; call it with steps.

    On a terminal a live bar, elsewhere a line each tenth of a phase, or nothing.

    Args:
        quiet: show nothing.
        clock: gives seconds.
    """

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        whole = Column(no_wrap=True)
        columns = (
            TextColumn("{task.description:17}", table_column=whole), BarColumn(bar_width=None),
            MofNCompleteColumn(table_column=whole), TextColumn("{task.fields[note]}", table_column=whole),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True, table_column=whole),
        )  # fmt: skip
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._bar = Progress(*columns, console=stderr(), disable=not self._live, expand=True)
        self._clock = clock
        self._tasks: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}
        self._began: dict[str, float] = {}
        self._front: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, step: Step) -> None:
        """Show one step."""
        if self._quiet:
            return
        self._began.setdefault(step.phase, self._clock())
        if step.outcome is not None:
            self._front = with_point(self._front, (step.outcome.saved_pct, step.outcome.score.drop))
        note = self._note(step) if step.phase == "search" else ""
        if not self._live:
            self._print(step, note)
            return
        if step.phase not in self._tasks:
            self._tasks[step.phase] = self._bar.add_task(_TITLES[step.phase], total=step.total, note=note)
        self._bar.update(self._tasks[step.phase], completed=step.done, total=step.total, note=note)

    def _note(self, step: Step) -> str:
        """A candidate is called one: the final policy is chosen by more images and may save less."""
        best = f"best candidate {step.best_saved_pct:.1f} %" if step.best_saved_pct else "none allowed yet"
        return f"{best}, front {len(self._front)}"

    def _print(self, step: Step, note: str) -> None:
        tenth = 10 * step.done // step.total if step.total else step.done // 10
        if self._tenths.get(step.phase) == tenth:
            return
        self._tenths[step.phase] = tenth
        of = f"/{step.total}" if step.total else ""
        parts = (f"{_TITLES[step.phase]} {step.done}{of}", note, self._left(step))
        print(", ".join(part for part in parts if part), file=sys.stderr, flush=True)  # noqa: T201

    def _left(self, step: Step) -> str:
        """Time left of the phase at its pace so far."""
        elapsed = self._clock() - self._began[step.phase]
        if not step.total or step.done < 2 or step.done >= step.total:
            return ""
        seconds = elapsed / (step.done - 1) * (step.total - step.done)
        return f"{seconds:.0f} s left" if seconds < 100 else f"{seconds / 60:.0f} min left"


def with_point(front: list[tuple[float, float]], point: tuple[float, float]) -> list[tuple[float, float]]:
    """A Pareto front of (percent saved, drop) with one more point, if nothing on it is as good in both.

    >>> with_point([(50.0, 1.0), (40.0, 0.5)], (55.0, 0.9))
    [(40.0, 0.5), (55.0, 0.9)]
    """
    saved, drop = point
    if any(s >= saved and d <= drop for s, d in front):
        return front
    return [*((s, d) for s, d in front if s > saved or d < drop), point]
