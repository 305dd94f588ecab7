"""Which policies are worth a real evaluation."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rlcompress.envs import Outcome, Problem
from rlcompress.searches.selection import best_within, blended_drops
from rlcompress.spec import ChoiceBatch

_MARGIN = 0.01  # of the logarithm of the cost, by which the best so far is said to be worse than it is
_MEASURING_STD = 0.15  # points, of a predicted drop beside what the error's spread says
_LEAST_DROP = 0.05  # points


def promise(problem: Problem, policies: ChoiceBatch, goal: float) -> NDArray[np.float64]:
    """Saving beyond the best so far, times the probability that the drop is allowed: [B].

    The saving is in the logarithm of the cost; policies that save less than the best get a negative promise.
    (Constrained expected improvement, Gardner et al., ICML 2014, where only the constraint is uncertain.)
    """
    drops, goal = np.maximum(problem.predicted_drop(policies), _LEAST_DROP), max(goal, _LEAST_DROP)
    deviation = np.hypot(problem.surrogate.spread(policies), _MEASURING_STD / goal)
    allowed = torch.special.ndtr(torch.from_numpy(np.log(goal / drops) / deviation)).numpy()
    saving = _best_log_cost(list(problem.outcomes.values()), goal) + _MARGIN - problem.log_cost(policies)
    return np.where(saving > 0.0, saving * allowed, saving - 1.0 + allowed)


def _best_log_cost(outcomes: Sequence[Outcome], goal: float) -> float:
    """Of the best policy whose blended drop is allowed; 0, that of dense 8 bits, before there is one."""
    if not outcomes:
        return 0.0
    saved = np.array([outcome.saved_pct for outcome in outcomes])
    best = best_within(saved, blended_drops(outcomes), goal)
    return 0.0 if best is None else float(np.log1p(-saved[best] / 100.0))
