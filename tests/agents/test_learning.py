"""Seeded trainings, short but long enough to tell learning from luck."""

import pytest

from rlcompress.agents import CompositeAgent
from tests.agents.hybrid_env import STEPS, CoupledEnv, HybridEnv, mean_reward

pytestmark = pytest.mark.slow


def agent_of(env, **changes):
    return CompositeAgent("MlpPolicy", env, 3, seed=0, device="cpu", net_arch=(32, 32), **changes)


@pytest.mark.parametrize(
    ("continuous", "discrete", "steps"), [("td3", "rainbow", 700), ("td3", "qrdqn", 600), ("ddpg", "dqn", 600)]
)
def test_learning_beats_random_and_nears_the_optimum(continuous, discrete, steps):
    agent = agent_of(HybridEnv(), continuous=continuous, discrete=discrete)
    assert mean_reward(agent) < 0.6 * STEPS
    assert mean_reward(agent.learn(steps)) > 0.75 * STEPS


def test_knobs_that_depend_on_the_index_are_learned():
    agent = agent_of(CoupledEnv(), discrete="dqn").learn(1000)
    assert mean_reward(agent, CoupledEnv) > 0.25 * STEPS  # 0.5 a step is the optimum
