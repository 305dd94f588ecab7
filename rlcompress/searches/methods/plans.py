"""Searches by planning alone: along the front of a fixed proxy, and with the proxy corrected as measurements come."""

from collections.abc import Iterator
from functools import partial
from itertools import count

import numpy as np

from rlcompress.envs import Problem
from rlcompress.evaluation import likely_drops
from rlcompress.planning import Knapsack, Surrogate
from rlcompress.planning.batches import joined
from rlcompress.planning.planner import Error
from rlcompress.searches.beside import plans_beside
from rlcompress.searches.methods.base import planned, propose_all
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch
from rlcompress.spec import ChoiceBatch

_STEP = 0.01  # of the logarithm of the error, between neighbouring proposals
_REACH = 1.0  # of the same logarithm, to both sides of the allowed drop
_LIMITS = 12
_SPREAD = 0.4  # of a goal's logarithm, to both sides
_TURNS = 3
_GOLDEN = (5**0.5 - 1.0) / 2.0  # whose multiples fill the unit interval evenly


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
    evaluator = problem.evaluator
    surrogate = Surrogate(problem.planner.proxy, evaluator.error_scale, evaluator.metric.slope, corrects=False)
    outcomes = problem.outcomes.values()
    drops = likely_drops([outcome.score for outcome in outcomes])
    for i, outcome in enumerate(outcomes, 1):
        surrogate.learn(outcome.choices, problem.measured_error(outcome.score), drops[:i])
    return surrogate


def tsdp(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Planning on the surrogate that every evaluation corrects.

    In turn by its mean for drops around the allowed one, which follows the front as it is known, by parameters drawn
    from their posterior (Thompson, Biometrika 1933), which tries what may be better than it seems, and beside what was
    measured (`beside_measured`).
    """
    planned(problem, settings)
    propose_all(problem, _corrected_plans(problem, settings), "tsdp")


def _corrected_plans(problem: Problem, settings: SearchSettings) -> Iterator[ChoiceBatch]:
    generator = np.random.default_rng(settings.seed)
    for turn in count():
        for goal in settings.candidate_goals:
            error, limit = asked(problem.surrogate, goal, turn, generator)
            if is_beside(turn):
                yield beside_measured(problem, limit)
            else:
                yield problem.planner.within(limit, error)


def asked(surrogate: Surrogate, goal: float, turn: int, generator: np.random.Generator) -> tuple[Error, float]:
    """The error that a plan for a goal is made by in a turn, and its limit; see `tsdp`.

    The drops of turns that draw no parameters are evenly spread around the goal, each far from those before it.
    """
    drawn = turn % _TURNS == 1
    parameters = surrogate.sampled(generator) if drawn else None
    place = 0.0 if drawn else 2.0 * (turn // _TURNS * _GOLDEN % 1.0) - 1.0
    return partial(surrogate.error, parameters=parameters), surrogate.error_at(goal * float(np.exp(_SPREAD * place)))


def is_beside(turn: int) -> bool:
    """Whether a turn's plan is one beside what was measured."""
    return turn % _TURNS == 2


def beside_measured(problem: Problem, limit: float) -> ChoiceBatch:
    """The cheapest plan for a limit of the error beside the evaluated policies, see `plans_beside`."""
    outcomes = list(problem.outcomes.values())
    errors = np.array([problem.measured_error(outcome.score) for outcome in outcomes])
    plans = plans_beside(problem, [outcome.choices for outcome in outcomes], errors, limit)
    within = [plan for plan, error in plans if error <= limit] or [plans[0][0]]
    return within[int(np.argmin(problem.log_cost(joined(within))))]
