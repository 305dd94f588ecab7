import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.envs import Problem
from rlcompress.searches.methods.plans import beside_measured, lower_hull

POINTS = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=1, max_size=12)


@given(POINTS)
def test_no_point_lies_below_the_hull_and_its_corners_are_needed(points: list[tuple[int, int]]) -> None:
    x, y = np.array(points, np.float64).T
    hull = lower_hull(x, y)
    assert x[hull[0]] == x.min()
    assert y[hull[-1]] == y.min()
    assert (np.diff(x[hull]) > 0).all()
    assert (np.diff(y[hull]) < 0).all()
    slopes = np.diff(y[hull]) / np.diff(x[hull])
    assert (np.diff(slopes) > 0).all()
    assert (np.interp(x, x[hull], y[hull]) <= y + 1e-9).all()


def test_plans_beside_what_was_measured_keep_to_the_limit_as_it_was_measured(problem: Problem) -> None:
    planner = problem.planner
    outcomes = [problem.evaluate(planner.path[i], "test") for i in np.linspace(0, len(planner.path) - 1, 6).astype(int)]
    errors = np.array([problem.measured_error(outcome.score) for outcome in outcomes])
    costs = np.array([float(problem.log_cost(outcome.choices)[0]) for outcome in outcomes])
    hull = lower_hull(np.log(errors), costs)
    for limit in (0.5 * errors.min(), float(np.median(errors)), 2.0 * errors.max()):
        plan = beside_measured(problem, limit)
        assert (problem.space.snapped(plan).keep_ratio == plan.keep_ratio).all()
        assert all(float(problem.log_cost(plan)[0]) <= costs[i] + 1e-9 for i in hull if errors[i] <= limit)


def test_a_measurement_counts_more_than_the_surrogate(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that turned out far better than predicted is where the next plan begins."""
    planner = problem.planner
    careful, bold = (problem.evaluate(planner.path[i], "test") for i in (2, -1))
    limit = problem.measured_error(careful.score) * 1.01
    monkeypatch.setattr(
        Problem, "measured_error", lambda _, score: 0.99 * limit if score is bold.score else 10.0 * limit
    )
    plan = beside_measured(problem, limit)
    assert float(problem.log_cost(plan)[0]) <= float(problem.log_cost(bold.choices)[0]) + 1e-9
