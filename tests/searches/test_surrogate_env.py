import numpy as np
import pytest

from rlcompress.envs import CompressionEnv, Problem, ResidualAction, policy_id
from rlcompress.planning.batches import joined
from rlcompress.searches.surrogate_env import SurrogateEnv
from tests.conftest import Digits


@pytest.fixture
def env(problem: Problem) -> SurrogateEnv:
    env = SurrogateEnv(problem, 4, seed=0)
    env.set_plans([(1.0, problem.planner.path[10]), (2.0, problem.planner.path[15])])
    return env


def _acted(env: SurrogateEnv, actions: np.ndarray) -> tuple[np.ndarray, list[list[dict[str, object]]]]:
    """Returns and infos of one round of episodes with actions [L, B, 4]."""
    env.reset()
    rewards, infos = [], []
    for action in actions:
        env.step_async(action)
        _, reward, done, info = env.step_wait()
        rewards.append(reward)
        infos.append(info)
    assert done.all()
    return np.sum(rewards, axis=0), infos


def _random_actions(problem: Problem, count: int) -> np.ndarray:
    shape = (len(problem.space.layers), count, 4)
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


def test_nothing_is_really_evaluated_and_every_end_is_kept(env: SurrogateEnv, problem: Problem) -> None:
    returns, infos = _acted(env, _random_actions(problem, 4))
    assert problem.evaluations == 0
    taken = env.take()
    assert 1 <= len(taken) <= 4
    assert not env.take()
    assert all(policy_id(problem.space.snapped(policy)) == policy_id(policy) for policy in taken)
    assert [info["episode"]["r"] for info in infos[-1]] == pytest.approx(returns, rel=1e-4)


def test_returns_are_the_surrogates_less_the_plans(env: SurrogateEnv, problem: Problem) -> None:
    """Potentials cancel: what is left is the final policy's predicted return less the plan's."""
    env.set_plans([(1.0, problem.planner.path[10])])
    returns, _ = _acted(env, _random_actions(problem, 4))

    def predicted(batch: object) -> np.ndarray:
        excess = np.maximum(0.0, problem.predicted_drop(batch) - 1.0)
        return -problem.log_cost(batch) - np.log1p(excess)

    finished = predicted(joined(env.take()))
    assert len(finished) == 4
    assert returns == pytest.approx(finished - predicted(problem.planner.path[10]), abs=1e-4)


def test_one_episode_of_many_is_that_of_the_single_environment(env: SurrogateEnv, problem: Problem) -> None:
    actions = _random_actions(problem, 4)
    plan = problem.planner.path[10]
    env.set_plans([(1.0, plan)])
    _, infos = _acted(env, actions)
    single = ResidualAction(CompressionEnv(problem))
    problem._plans[1.0] = plan
    single.reset(seed=0)
    for i, action in enumerate(actions[:, 2]):
        _, _, _, _, info = single.step(action)
        np.testing.assert_allclose(info["executed_action"], infos[i][2]["executed_action"], atol=1e-6)


def test_planned_episodes_are_cloned_from_every_goal(env: SurrogateEnv, problem: Problem) -> None:
    observations, actions = env.planned_episodes()
    assert observations.shape == (2 * len(problem.space.layers), env.observation_space.shape[0])
    assert not actions[:, 1:].any()
    assert len(np.unique(actions[:, 0])) == 1
    absolute = SurrogateEnv(problem, 2, residual=False)
    absolute.set_plans([(1.0, problem.planner.path[10])])
    assert absolute.planned_episodes()[1][:, 1:].any()


def test_without_shaping_everything_is_paid_at_the_end(problem: Problem) -> None:
    env = SurrogateEnv(problem, 2, shaping=False)
    env.set_plans([(1.0, problem.planner.path[5])])
    env.reset()
    rewards = []
    for action in _random_actions(problem, 2):
        env.step_async(action)
        rewards.append(env.step_wait()[1])
    assert not np.any(rewards[:-1])
    assert np.all(rewards[-1] != 0)


def test_joined(digits: Digits, problem: Problem) -> None:
    both = joined(problem.planner.path[:2])
    assert both.shape == (2, len(problem.space.layers))
