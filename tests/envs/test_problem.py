import numpy as np
import pytest

from rlcompress.envs import BudgetSpent, Outcome, Problem, policy_id
from rlcompress.envs.problem import ProblemSettings
from rlcompress.errors import RunError
from rlcompress.evaluation import Score


def test_a_policy_is_scored_once(problem: Problem) -> None:
    seen: list[Outcome] = []
    problem.on_outcome = seen.append
    policy = problem.space.snapped(problem.space.uniform(6))
    first, second = problem.evaluate(policy, "a"), problem.evaluate(policy, "b")
    assert first is second
    assert [outcome.source for outcome in seen] == ["a"]


def test_savings_are_against_dense_eight_bits(problem: Problem) -> None:
    assert problem.log_cost(problem.space.uniform(8)) == pytest.approx([0.0])
    policy = problem.space.snapped(problem.space.uniform(4))
    energies = [float(problem.costs(p).energy_uj[0]) for p in (policy, problem.space.uniform(8))]
    assert problem.evaluate(policy, "test").saved_pct == pytest.approx(100 * (1 - energies[0] / energies[1]))


def test_the_budget_ends_new_evaluations_only(problem: Problem) -> None:
    problem.budget = 1
    known, new = (problem.space.snapped(problem.space.uniform(bits)) for bits in (7, 6))
    problem.evaluate(known, "test")
    problem.evaluate(known, "test")
    with pytest.raises(BudgetSpent):
        problem.evaluate(new, "test")


def test_recorded_scores_replace_evaluations(problem: Problem) -> None:
    policy = problem.space.snapped(problem.space.uniform(5))
    problem.recorded = {policy_id(policy): Score(12.5, 1.25, 0.1, 90.0, 0.5, 8)}
    assert problem.evaluate(policy, "test").score.metric == 12.5


def test_the_plan_keeps_the_measured_drop_within_the_goal(problem: Problem) -> None:
    plan = problem.plan(1.0)
    outcome = problem.outcomes[policy_id(plan)]
    assert outcome.score.drop <= 1.0
    bolder = [o for o in problem.outcomes.values() if o.saved_pct > outcome.saved_pct]
    assert all(o.score.drop > 1.0 for o in bolder)


def test_predicted_drops_follow_the_evaluations(problem: Problem) -> None:
    """After an evaluation, a policy of that very error is predicted to lose what was measured, but for the prior."""
    policy = problem.space.snapped(problem.space.uniform(4))
    measured = Score(90.0, 3.0, 0.1, 90.0, 1.0, 200)
    problem.recorded = {policy_id(policy): measured}
    before = float(problem.predicted_drop(policy)[0])
    problem.evaluate(policy, "test")
    after = float(problem.predicted_drop(policy)[0])
    assert abs(after - 3.0) < abs(before - 3.0) or before == pytest.approx(3.0)
    assert after == pytest.approx((3.0 + 0.1 * before) / 1.1, rel=1e-3)


def test_predicted_drops_of_dense_policies_are_near_zero(problem: Problem) -> None:
    assert np.all(problem.predicted_drop(problem.space.uniform(8)) < 0.5)


def test_unknown_targets_are_refused() -> None:
    with pytest.raises(RunError, match="unknown target 'speed'"):
        ProblemSettings(target="speed")
