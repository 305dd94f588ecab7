"""A small search killed at random moments and resumed each time, against the same search left alone.

    python -m benchmarks.faults --kills 100

Every search runs in a process forked from this one, which has loaded everything: a resumed search starts in a fraction
of a second, so that kills fall on the search and not on imports. SIGKILL cannot be caught. The run folder after the
last resumption is held against the uninterrupted one: the same policy.json and history.jsonl, and no kill may cost more
than the one evaluation that it fell on.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rlcompress import hw_models
from rlcompress.data import DataSplits, load_data
from rlcompress.envs import ProblemSettings
from rlcompress.evaluation import Score
from rlcompress.evaluation.scorer import Choices, Scorer
from rlcompress.hw_models import HardwareModel
from rlcompress.network.builtin.digits_training import train_digits_cnn
from rlcompress.network.cards import NetworkCard, get_card
from rlcompress.network.trace import TracedNetwork, trace
from rlcompress.searches import SearchSettings, run_search
from rlcompress.searches.folder import RunFolder
from rlcompress.threads import one_thread

_KILLS_A_RUN = 5  # that an uninterrupted search would meet on average
_SAME = ("policy.json", "history.jsonl", "front.csv", "sensitivity.csv")


@dataclass(frozen=True)
class Search:
    """A search on the digits CNN, with what it needs already loaded."""

    network: TracedNetwork
    card: NetworkCard
    splits: DataSplits
    hardware: HardwareModel
    settings: SearchSettings

    @classmethod
    def of(cls, evaluations: int, seed: int, agent: str) -> "Search":
        card, splits = get_card("digits_cnn"), load_data("digits")
        images = splits.search.normalized(slice(None), card.mean, card.std)
        model = train_digits_cnn(images, splits.search.labels, 0)
        settings = SearchSettings(
            evaluations=evaluations, seed=seed, agent=agent, max_drop=5.0, problem=ProblemSettings(score_images=200)
        )
        network = trace(model, images[:1], name="digits_cnn")
        return cls(network, card, splits, hw_models.load("scalable_sparse_16x32"), settings)

    def run(self, folder: Path, started: Path) -> None:
        """Search or go on searching; ``started`` gets a byte at the beginning of every real evaluation."""
        resume = (folder / "run.json").exists()
        run_folder = RunFolder(folder, self.settings.as_json(), resume=resume)
        with _counted(started):
            run_search(self.network, self.card, self.splits, self.hardware, self.settings, run_folder)


class _counted:  # noqa: N801  # used as a context
    """Notes the start of every real evaluation in a file, unbuffered."""

    def __init__(self, path: Path) -> None:
        self._path, self._score = path, Scorer.__call__

    def __enter__(self) -> None:
        score, path = self._score, self._path

        def noted(scorer: Scorer, choices: Choices) -> Score:
            with path.open("ab", buffering=0) as file:
                file.write(b".")
            return score(scorer, choices)

        Scorer.__call__ = noted  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        Scorer.__call__ = self._score  # type: ignore[method-assign]


def forked(work: Callable[[], None], kill_after: float | None = None) -> bool:
    """Do work in a child; whether it ended by itself before it was killed.

    Raises:
        RuntimeError: it failed.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if kill_after is not None and not _ends_within(child, kill_after):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if status:
        raise RuntimeError(f"a search ended with status {status}")
    return True


def _ends_within(child: int, seconds: float) -> bool:
    """Whether a child ends by itself in time; it is left for waitpid."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return True
        time.sleep(0.002)
    return False


@dataclass
class Tally:
    """What the kills cost."""

    kills: int = 0
    runs: int = 0
    different: int = 0
    repeated: int = 0
    most_by_one_kill: int = 0


def one_run(search: Search, reference: Path, seconds: float, left: int, chance: random.Random, tally: Tally) -> float:
    """Kill and resume a search until it ends, at most ``left`` times, and compare it with the uninterrupted one.

    Returns:
        How long the last resumption took, which nothing interrupted.
    """
    with tempfile.TemporaryDirectory() as parent:
        folder, started = Path(parent) / "run", Path(parent) / "started"
        started.touch()
        ended = False
        while not ended:
            begun = time.monotonic()
            before = (started.stat().st_size, _lines(folder))
            kill_after = chance.expovariate(_KILLS_A_RUN / seconds) if left else None
            ended = forked(lambda: search.run(folder, started), kill_after)
            if not ended:
                left -= 1
                tally.kills += 1
                lost = started.stat().st_size - before[0] - (_lines(folder) - before[1])
                tally.most_by_one_kill = max(tally.most_by_one_kill, lost)
        tally.runs += 1
        tally.repeated += started.stat().st_size - _lines(folder)
        tally.different += any((folder / name).read_bytes() != (reference / name).read_bytes() for name in _SAME)
        return time.monotonic() - begun


def _lines(folder: Path) -> int:
    history = folder / "history.jsonl"
    return history.read_bytes().count(b"\n") if history.exists() else 0


@one_thread()
def measure(kills: int, evaluations: int, seed: int, agent: str) -> Tally:
    """Kill ``kills`` times in as many runs as it takes."""
    chance, tally = random.Random(seed), Tally()
    search = Search.of(evaluations, seed, agent)
    with tempfile.TemporaryDirectory() as parent:
        reference = Path(parent) / "reference"
        begun = time.monotonic()
        forked(lambda: search.run(reference, Path(parent) / "started"))
        seconds = time.monotonic() - begun
        while tally.kills < kills:
            # the machine may have become faster: too long an interval would kill nothing
            seconds = min(seconds, 2 * one_run(search, reference, seconds, min(kills - tally.kills, 20), chance, tally))
            print(f"{tally.kills} kills, {tally.runs} runs, {tally.repeated} evaluations repeated", file=sys.stderr)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--evaluations", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--agent", default="composite")
    arguments = parser.parse_args()
    tally = measure(arguments.kills, arguments.evaluations, arguments.seed, arguments.agent)
    print(
        f"{tally.kills} kills in {tally.runs} runs of {arguments.evaluations} evaluations ({arguments.agent}): "
        f"{tally.runs - tally.different} of {tally.runs} ended with the files of the uninterrupted run; "
        f"{tally.repeated} evaluations repeated, at most {tally.most_by_one_kill} a kill"
    )
    sys.exit(bool(tally.different or tally.most_by_one_kill > 1))


if __name__ == "__main__":
    main()
