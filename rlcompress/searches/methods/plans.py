"""Searches by planning alone: along the front of a fixed proxy, and with the proxy corrected as measurements come."""

from collections.abc import Iterator
from functools import partial
from itertools import count

import numpy as np

from rlcompress.envs import Problem
from rlcompress.planning import Knapsack, Surrogate
from rlcompress.searches.methods.base import planned, propose_all
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch
from rlcompress.spec import ChoiceBatch

_STEP = 0.01  # of the logarithm of the error, between neighbouring proposals
_REACH = 1.0  # of the same logarithm, to both sides of the allowed drop
_LIMITS = 12


def dp(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Lagrangian and exact knapsack on the proxy as it was measured; evaluations go along their front.

    They begin where the drop is predicted to be the allowed one and walk outwards to both sides. Of the evaluations
    only the slope from error to drop is learned.
    """
    planned(problem, settings)
    propose_all(problem, _along_the_front(problem, settings), "dp")


def _along_the_front(problem: Problem, settings: SearchSettings) -> Iterator[ChoiceBatch]:
    planner = problem.planner
    knapsack = Knapsack(problem.space, lambda batch: np.exp(problem.log_cost(batch)), planner.error)
    for offset in count():
        if (offset // 2) * _STEP > _REACH:
            return
        side = _STEP * (offset // 2 + offset % 2) * (-1 if offset % 2 else 1)
        for goal in settings.candidate_goals:
            limit = _slope_only(problem).error_at(goal) * float(np.exp(side))
            plans = [*planner.path, *knapsack.plans(np.geomspace(limit / 2, limit, _LIMITS))]
            within = [plan for plan in plans if planner.error(plan)[0] <= limit] or plans[:1]
            yield planner.filled(min(within, key=lambda plan: float(problem.log_cost(plan)[0])), limit)


def _slope_only(problem: Problem) -> Surrogate:
    surrogate = Surrogate(problem.planner.proxy, problem.evaluator.error_scale, corrects=False)
    for outcome in problem.outcomes.values():
        surrogate.learn(outcome.choices, problem.measured_error(outcome.score), outcome.score.drop)
    return surrogate


def tsdp(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Planning on the surrogate that every evaluation corrects, its parameters drawn from their posterior."""
    planned(problem, settings)
    propose_all(problem, _sampled_plans(problem, settings), "tsdp")


def _sampled_plans(problem: Problem, settings: SearchSettings) -> Iterator[ChoiceBatch]:
    generator = np.random.default_rng(settings.seed)
    surrogate = problem.surrogate
    while True:
        for goal in settings.candidate_goals:
            parameters = surrogate.sampled(generator)
            limit = surrogate.error_at(goal)
            yield problem.planner.within(limit, partial(surrogate.error, parameters=parameters))
