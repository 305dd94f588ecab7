import pytest

from rlcompress.envs import BudgetSpent, Problem, policy_id
from rlcompress.planning.batches import row, same
from rlcompress.searches import SearchSettings
from rlcompress.searches.agent_settings import CompositeSearchSettings
from rlcompress.searches.methods.composite import _Search
from rlcompress.searches.surrogate_env import Observations, SurrogateEnv
from rlcompress.searches.watch import Watch
from rlcompress.spec import ChoiceBatch


def _search(problem: Problem) -> _Search:
    problem.plan(1.0)
    return _Search(problem, SearchSettings(evaluations=30), CompositeSearchSettings(), cold=False)


def test_nothing_dearer_than_the_plan_by_the_same_draw_is_evaluated(problem: Problem) -> None:
    search = _search(problem)
    for _ in range(3):
        plan, policy, source = search._proposed(1.0, problem.planner.path[::8])
        assert problem.log_cost(policy)[0] <= problem.log_cost(plan)[0]
        assert (source == "planner") == same(plan, policy)


def test_the_agents_policy_is_evaluated_where_the_plan_is_dearer(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = _search(problem)
    careful = problem.planner.path[0]

    def within(limit: float, error: object, fronts: object) -> ChoiceBatch:
        return careful

    monkeypatch.setattr(problem.planner, "within", within)
    plan, policy, source = search._proposed(1.0, problem.planner.path)
    assert same(plan, careful)
    assert source == "composite"
    assert problem.log_cost(policy)[0] < problem.log_cost(careful)[0] - 0.1


def test_every_round_has_the_plans_that_were_set_for_it(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[set[str]] = []
    begun: list[set[str]] = []
    set_plans, reset = SurrogateEnv.set_plans, SurrogateEnv.reset

    def setting(env: SurrogateEnv, plans: list[tuple[float, ChoiceBatch]]) -> None:
        set_plans(env, plans)
        known.append({policy_id(plan) for _, plan in plans})

    def resetting(env: SurrogateEnv) -> Observations:
        observations, plans = reset(env), env._episodes.plan
        begun.append({policy_id(row(plans, i)) for i in range(env.num_envs)})
        assert begun[-1] <= known[-1]
        return observations

    monkeypatch.setattr(SurrogateEnv, "set_plans", setting)
    monkeypatch.setattr(SurrogateEnv, "reset", resetting)
    problem.budget = 24
    with pytest.raises(BudgetSpent):
        _search(problem).run(Watch())
    assert len(known) >= 3
    assert len(begun) >= len(known) - 1
