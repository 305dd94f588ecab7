import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.envs import Problem
from rlcompress.evaluation import Score, likely_drops
from rlcompress.searches.beside import finals_beside, lower_hull
from rlcompress.searches.finals import judged, most_finals
from rlcompress.searches.methods.plans import beside_measured

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


def test_policies_beside_final_networks_are_evaluated_beyond_the_budget(problem: Problem) -> None:
    planner = problem.planner
    path = [planner.path[i] for i in np.linspace(0, len(planner.path) - 1, 6).astype(int)]
    outcomes = problem.evaluate_many(path, "test")
    problem.budget = len(outcomes)
    beside = finals_beside(problem, outcomes)
    drops = {i: 0.2 * 2.0**i for i in range(6)}  # of which 0.8 and 1.6 are near
    made = beside(drops, 1.0)
    assert made
    assert set(made).isdisjoint(drops)
    assert problem.evaluations == len(outcomes) == 6 + len(made)
    for i in made:
        assert outcomes[i].source == "final"
        assert outcomes[3].saved_pct > outcomes[i].saved_pct or outcomes[i].saved_pct > outcomes[2].saved_pct
    assert beside({0: 0.2, 5: 6.4}, 1.0) == []  # nothing is near
    assert beside({0: 0.0}, 0.0) == []


def test_a_search_ends_no_worse_for_what_is_made_beside_final_networks(problem: Problem) -> None:
    planner = problem.planner
    outcomes = problem.evaluate_many([planner.path[i] for i in range(0, len(planner.path), 4)], "test")
    asked: list[int] = []

    def measure(positions: list[int]) -> list[tuple[Score, Score]]:
        asked.extend(positions)
        return [(outcomes[i].score, outcomes[i].score) for i in positions]

    goal = 1.1 * float(np.median(likely_drops([outcome.score for outcome in outcomes])))  # further outcomes move drops
    before = judged(outcomes, [goal], 1.0, measure)
    count = len(outcomes)
    after = judged(outcomes, [goal], 1.0, measure, finals_beside(problem, outcomes))

    def most_saved(drops: dict[int, float]) -> float:
        return max(outcomes[i].saved_pct for i, drop in drops.items() if drop <= goal)

    assert most_saved(after) >= most_saved(before) > 0.0
    assert len(asked) - len(before) <= most_finals(count, [goal])
    assert len(outcomes) - count <= 4
