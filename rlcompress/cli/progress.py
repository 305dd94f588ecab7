"""The progress bar of a search."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rlcompress.searches import Progress as Step

_TITLES = {"sensitivity": "sensitivity table", "search": "evaluations", "final": "final scores"}


class SearchBar:
    """Shows phase, evaluations, best energy saved within the allowed drop, and the time left; call it with steps.

    On a terminal a live bar, elsewhere a line each tenth of a phase.
    """

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description:18}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[best]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        self._live = sys.stderr.isatty()
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not self._live)
        self._tasks: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, step: Step) -> None:
        """Show one step."""
        best = f"best saved {step.best_saved_pct:.1f} %" if step.phase == "search" else ""
        if not self._live:
            self._print(step, best)
            return
        if step.phase not in self._tasks:
            self._tasks[step.phase] = self._bar.add_task(_TITLES[step.phase], total=step.total, best=best)
        self._bar.update(self._tasks[step.phase], completed=step.done, total=step.total, best=best)

    def _print(self, step: Step, best: str) -> None:
        tenth = 10 * step.done // step.total if step.total else step.done // 10
        if self._tenths.get(step.phase) != tenth:
            self._tenths[step.phase] = tenth
            of = f"/{step.total}" if step.total else ""
            print(f"{_TITLES[step.phase]} {step.done}{of} {best}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201
