import numpy as np
import pytest

from rlcompress.envs import Problem
from rlcompress.searches.acquisition import promise
from rlcompress.searches.surrogate_env import joined


def test_what_saves_more_within_the_goal_promises_more(problem: Problem) -> None:
    path = joined(problem.planner.path)
    drops, costs = problem.predicted_drop(path), problem.log_cost(path)
    promises = promise(problem, path, 1.0)
    best = int(np.argmax(promises))
    assert drops[best] < 1.2
    assert np.all(promises[drops > 20.0] < 0.01 * promises[best])
    assert costs[best] < costs[0]


def test_nothing_is_promised_by_what_saves_less_than_the_best(problem: Problem) -> None:
    plan = problem.plan(3.0)
    known = problem.log_cost(plan)[0]
    path = joined(problem.planner.path)
    worth = promise(problem, path, 3.0)
    assert np.all(worth[problem.log_cost(path) > known + 0.02] < 0.0)


@pytest.mark.parametrize("goal", [0.5, 2.0])
def test_a_larger_goal_lets_bolder_policies_promise_most(problem: Problem, goal: float) -> None:
    path = joined(problem.planner.path)
    chosen = [problem.log_cost(path)[np.argmax(promise(problem, path, g))] for g in (goal, 4 * goal)]
    assert chosen[1] <= chosen[0]
