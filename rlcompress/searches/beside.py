"""Plans beside policies whose loss is known."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rlcompress.envs import Outcome, Problem, policy_id
from rlcompress.planning.batches import joined
from rlcompress.spec import ChoiceBatch

Floats = NDArray[np.float64]
Beside = Callable[[Mapping[int, float], float], list[int]]
"""(drops of final networks by position, allowed drop) -> positions of outcomes to make next."""

_TINY = 1e-9
_AIM = 0.95  # of an allowed drop, as what is aimed at is met on average only
_NEAR = 1.6  # times an allowed drop, or its part, beyond which final networks say little about it


def plans_beside(
    problem: Problem, policies: Sequence[ChoiceBatch], losses: Floats, limit: float
) -> list[tuple[ChoiceBatch, float]]:
    """Plans for a limit, each made from a policy to either side of it, with what they are predicted to lose.

    The policies are neighbours on the convex hull of what is known, ln(cost) over ln(loss), and the surrogate says only
    how the loss changes with the policy. So where the surrogate is wrong for some kind of policies, such as those
    behind a step of the cost, what is known of one of them counts for those like it.

    Args:
        problem: whose planner and surrogate are asked.
        policies: N batches of one, at least one.
        losses: [N] errors or drops.
        limit: of the same kind.
    """
    logarithms = np.log(losses.clip(_TINY))
    hull = lower_hull(logarithms, problem.log_cost(joined(policies)))
    place = int(np.searchsorted(logarithms[hull], np.log(limit), "right"))
    return [
        _towards(problem, policies[i], max(_TINY, float(losses[i])), limit) for i in hull[max(0, place - 1) : place + 1]
    ]


def _towards(problem: Problem, start: ChoiceBatch, loss: float, limit: float) -> tuple[ChoiceBatch, float]:
    scale = loss / float(problem.surrogate.error(start)[0])

    def error(batch: ChoiceBatch) -> Floats:
        return scale * problem.surrogate.error(batch)

    plan = problem.planner.filled(start, limit, error)
    return plan, float(error(plan)[0])


def finals_beside(problem: Problem, outcomes: list[Outcome]) -> Beside:
    """Proposes policies beside final networks, whose drops are known better than those of candidates.

    Args:
        problem: that evaluates what is new, beyond its budget and unreported.
        outcomes: the evaluated policies; new ones are added.
    """
    problem.budget = problem.deadline = problem.on_outcome = None

    def beside(drops: Mapping[int, float], goal: float) -> list[int]:
        near = {i: drop for i, drop in drops.items() if goal / _NEAR <= drop <= goal * _NEAR and drop > 0.0}
        if not near:
            return []
        losses = np.array(list(near.values()))
        plans = plans_beside(problem, [outcomes[i].choices for i in near], losses, _AIM * goal)
        known = {policy_id(outcome.choices): i for i, outcome in enumerate(outcomes)}
        for plan, _ in plans:
            if policy_id(plan) not in known:
                known[policy_id(plan)] = len(outcomes)
                outcomes.append(problem.evaluate(plan, "final"))
        return [i for i in dict.fromkeys(known[policy_id(plan)] for plan, _ in plans) if i not in drops]

    return beside


def lower_hull(x: Floats, y: Floats) -> list[int]:
    """Positions of the points [N] on the lower convex hull that falls, by rising x (Andrew's monotone chain, 1979)."""
    hull: list[int] = []
    for i in map(int, np.lexsort((y, x))):
        if hull and y[i] >= y[hull[-1]]:
            continue
        while len(hull) > 1 and _turns_down(x, y, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    return hull


def _turns_down(x: Floats, y: Floats, a: int, b: int, c: int) -> bool:
    """Whether b lies on or above the line from a to c."""
    return bool((y[b] - y[a]) * (x[c] - x[a]) >= (y[c] - y[a]) * (x[b] - x[a]))
