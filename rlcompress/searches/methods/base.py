"""What the search methods share."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from gymnasium import Space
from gymnasium.spaces import flatdim

from rlcompress.envs import Outcome, Problem, policy_id
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch
from rlcompress.spec import ChoiceBatch

Method = Callable[[Problem, SearchSettings, Watch], None]
"""(problem with a budget, settings, what learning agents report to) -> nothing; the problem keeps the outcomes."""

KNOWN_IN_A_ROW = 50
"""Proposals in a row that are all known already, after which a method has nothing more to say."""

AT_A_TIME = 32
"""Policies that methods which do not look at outcomes hand over together."""


def transitions_within(most: int, observation: Space[Any], action: Space[Any]) -> int:
    """How many transitions a replay buffer of at most so many bytes holds, with their priorities; at least one."""
    numbers = 2 * flatdim(observation) + flatdim(action) + 3  # and reward, end, time-out
    return max(1, most // (4 * numbers + 16))


def planned(problem: Problem, settings: SearchSettings) -> list[Outcome]:
    """The plans that the bisection for every goal evaluates: the seeds of whatever starts from the planner."""
    for goal in settings.candidate_goals:
        problem.plan(goal)
    return list(problem.outcomes.values())


def propose_all(problem: Problem, proposals: Iterator[ChoiceBatch], source: str, at_a_time: int = 1) -> None:
    """Evaluate proposals until too many in a row are known already.

    Args:
        problem: what they are evaluated on.
        proposals: policies; at more than one at a time, they must not depend on the outcomes of those before.
        source: what proposes them.
        at_a_time: how many are handed over together, for workers to share out.
    """
    seen, known = set(problem.outcomes), 0
    while batch := list(islice(proposals, at_a_time)):
        for i, policy in enumerate(batch):
            known = known + 1 if policy_id(policy) in seen else 0
            seen.add(policy_id(policy))
            if known == KNOWN_IN_A_ROW:
                problem.evaluate_many(batch[:i], source)
                return
        problem.evaluate_many(batch, source)
