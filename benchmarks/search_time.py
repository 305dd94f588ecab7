"""Where the time of a search goes.

    python -m benchmarks.search_time --weights FILE --data cifar10:DIR --evaluations 200 --workers 2

Prints seconds (wall-clock) and shares by phase, and whether the search keeps its bars: five minutes in all, a fifth of
it for the agent's updates. A phase does not count what another one inside it takes; what workers do counts where it is
waited for.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any

from rlcompress import hw_models
from rlcompress.agents import CompositeAgent
from rlcompress.candidates import Candidates
from rlcompress.data import load_data
from rlcompress.envs import Problem
from rlcompress.envs import problem as problem_module
from rlcompress.evaluation import Evaluator
from rlcompress.network.pretrained import pretrained
from rlcompress.planning import Planner, Surrogate
from rlcompress.searches import SearchSettings, run_search
from rlcompress.searches import run as run_module
from rlcompress.searches.surrogate_env import SurrogateEnv

MOST_SECONDS = 300.0
MOST_UPDATES = 0.20


class Clock:
    """Seconds by phase, each without the phases inside it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = time.perf_counter()

    def switch(self, push: str | None) -> None:
        """Enter a phase, or leave the innermost one."""
        now = time.perf_counter()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now
        if push is None:
            self._stack.pop()
        else:
            self._stack.append(push)

    def timed(self, owner: Any, name: str, phase: str) -> None:
        """Count a function of a class or module as a phase."""
        inner: Callable[..., Any] = getattr(owner, name)

        @wraps(inner)
        def outer(*args: Any, **kwargs: Any) -> Any:
            self.switch(phase)
            try:
                return inner(*args, **kwargs)
            finally:
                self.switch(None)

        setattr(owner, name, outer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="cifar_resnet20")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--hardware", default="scalable_sparse_16x32")
    parser.add_argument("--agent", default="composite")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    network, card = pretrained(arguments.network, arguments.weights)
    data, hardware = load_data(arguments.data), hw_models.load(arguments.hardware)
    clock = Clock()
    clock.timed(Candidates, "__init__", "bank: statistics and ranges")
    clock.timed(Candidates, "weights", "bank: compressing layers")
    clock.timed(run_module, "finished", "final networks and their scores")
    clock.timed(problem_module, "measure_sensitivity", "sensitivity table")
    clock.timed(Problem, "evaluate_many", "evaluations")
    clock.timed(Evaluator, "score", "scoring images in this process")
    clock.timed(Planner, "_minimised", "planner")
    clock.timed(Planner, "filled", "planner")
    clock.timed(Surrogate, "_fit", "surrogate's fit")
    clock.timed(SurrogateEnv, "step_wait", "agent: episodes")
    clock.timed(CompositeAgent, "train", "agent: updates")
    clock.timed(CompositeAgent, "imitate", "agent: cloning")
    clock.switch("rest")
    settings = SearchSettings(agent=arguments.agent, evaluations=arguments.evaluations, workers=arguments.workers)
    result = run_search(network, card, data, hardware, settings)
    clock.switch(None)
    total = sum(clock.seconds.values())
    print(f"{arguments.network}, {arguments.agent}, {result.evaluations} evaluations: {total:.1f} s")
    for phase, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        print(f"{phase:<32}{seconds:>9.1f} s{100 * seconds / total:>8.1f} %")
    updates = (clock.seconds["agent: updates"] + clock.seconds["agent: cloning"]) / total
    print(f"in all at most {MOST_SECONDS:.0f} s: {_kept(total <= MOST_SECONDS)}")
    print(f"agent's updates at most {100 * MOST_UPDATES:.0f} %: {_kept(updates <= MOST_UPDATES)}")


def _kept(bar: bool) -> str:
    return "yes" if bar else "no"


if __name__ == "__main__":
    main()
