import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecNormalize

from rlcompress.agents import Rainbow, RainbowComponents

OFF = {
    "double": False,
    "dueling": False,
    "prioritized": False,
    "multi_step": 1,
    "distributional": False,
    "noisy": False,
}
PROBE = np.linspace(-1, 1, 40, dtype=np.float32).reshape(10, 4)


def rainbow(env="CartPole-v1", **changes):
    arguments = {"learning_starts": 20, "batch_size": 16, "train_freq": 1, "buffer_size": 1000, "v_min": 0.0}
    arguments |= {"policy_kwargs": {"net_arch": [16, 16]}, "seed": 0, "device": "cpu"}
    return Rainbow("MlpPolicy", env, **(arguments | changes))


class Bandit(gym.Env):
    """One step; the right action is the index of the largest of three numbers: return 1, otherwise 0."""

    observation_space, action_space = gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        return self.state, {}

    def step(self, action):
        return self.state, float(action == self.state.argmax()), True, False, {}


@pytest.mark.parametrize("switches", [{}, OFF], ids=["all-on", "all-off"])
def test_learning_a_contextual_bandit(switches):
    agent = rainbow(Bandit(), learning_rate=3e-3, v_max=1.0, v_min=-1.0, target_update_interval=50, **switches)
    agent.learn(1200)
    mean, _ = evaluate_policy(agent, Monitor(Bandit()), 100)
    assert mean > 0.75  # random: 0.33


@pytest.mark.parametrize("name", OFF)
def test_each_component_can_be_switched_off(name):
    agent = rainbow(**{name: OFF[name]}).learn(40)
    assert agent.components == RainbowComponents(v_min=0.0, **{name: OFF[name]})
    assert agent._n_updates == 20


def test_only_epsilon_greedy_explores_without_noisy_layers():
    assert rainbow(noisy=False).learn(5).exploration_rate == pytest.approx(0.05)
    assert rainbow().learn(5).exploration_rate == 0


@pytest.mark.parametrize("switches", [{}, OFF], ids=["all-on", "all-off"])
def test_save_and_load_give_equal_predictions(tmp_path, switches):
    agent = rainbow(**switches).learn(60)
    agent.save(tmp_path / "rainbow")
    agent.save_replay_buffer(tmp_path / "replay")
    loaded = Rainbow.load(tmp_path / "rainbow", env=gym.make("CartPole-v1"))
    loaded.load_replay_buffer(tmp_path / "replay")
    np.testing.assert_array_equal(
        agent.predict(PROBE, deterministic=True)[0], loaded.predict(PROBE, deterministic=True)[0]
    )
    assert loaded.components == agent.components
    assert loaded.learn(20, reset_num_timesteps=False).num_timesteps == 80


def test_a_seed_gives_the_same_run():
    first, second = (rainbow().learn(80) for _ in range(2))
    for ours, theirs in zip(first.policy.parameters(), second.policy.parameters(), strict=True):
        assert ours.equal(theirs)


def test_several_environments_and_normalisation():
    env = VecNormalize(make_vec_env("CartPole-v1", 2, seed=0))
    assert rainbow(env).learn(60)._n_updates > 0


def test_the_policy_alone_can_be_saved_and_loaded(tmp_path):
    agent = rainbow().learn(30)
    agent.policy.save(tmp_path / "policy")
    loaded = type(agent.policy).load(tmp_path / "policy")
    np.testing.assert_array_equal(
        agent.policy.predict(PROBE, deterministic=True)[0], loaded.predict(PROBE, deterministic=True)[0]
    )


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="dueling_net"):
        rainbow(dueling_net=True)
