import warnings

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecNormalize

from rlcompress.agents import Rainbow, RainbowComponents
from rlcompress.errors import AgentError, RlcompressWarning
from tests.agents.hybrid_env import CountingEnv

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


def counting(**changes):
    return rainbow(CountingEnv(gym.spaces.Discrete(2)), learning_starts=10_000, gamma=1.0, **changes)


def crossing(agent):
    """How many of the sampled returns begin in one episode and end in another."""
    samples = agent.replay_buffer.sample(200)
    return int((samples.observations // 1000 != samples.next_observations // 1000).sum())


def test_no_return_is_summed_across_an_environment_begun_anew(tmp_path):
    agent = counting().learn(20)
    assert crossing(agent.learn(20)) == 0
    agent.set_env(CountingEnv(gym.spaces.Discrete(2)))
    assert crossing(agent.learn(20, reset_num_timesteps=False)) == 0
    agent.save(tmp_path / "agent")
    agent.save_replay_buffer(tmp_path / "replay")
    loaded = Rainbow.load(tmp_path / "agent", env=CountingEnv(gym.spaces.Discrete(2)))
    loaded.load_replay_buffer(tmp_path / "replay")
    assert crossing(loaded.learn(20, reset_num_timesteps=False)) == 0
    assert loaded.replay_buffer.timeouts.sum() == 3


def test_a_replay_buffer_loaded_between_two_steps_is_cut(tmp_path):
    agent = counting().learn(20)
    agent.save_replay_buffer(tmp_path / "replay")
    agent.load_replay_buffer(tmp_path / "replay", truncate_last_traj=False)
    assert not agent.replay_buffer.timeouts.any()
    agent.load_replay_buffer(tmp_path / "replay")
    assert agent.replay_buffer.timeouts.sum() == 1


def test_learning_that_goes_on_cuts_nothing():
    agent = counting().learn(20).learn(20, reset_num_timesteps=False)
    assert not agent.replay_buffer.timeouts.any()


@pytest.mark.parametrize("changes", [{"gamma": 0.5}, {"multi_step": 1}, {"alpha": 0.1}])
def test_a_replay_buffer_of_other_settings_is_refused(tmp_path, changes):
    rainbow(**changes).save_replay_buffer(tmp_path / "replay")
    agent = rainbow()
    before = agent.replay_buffer
    with pytest.raises(AgentError, match=f"has {next(iter(changes))} .*, this agent needs .*; give another"):
        agent.load_replay_buffer(tmp_path / "replay")
    assert agent.replay_buffer is before


def test_a_replay_buffer_of_another_kind_is_refused(tmp_path):
    DQN("MlpPolicy", "CartPole-v1", buffer_size=10).save_replay_buffer(tmp_path / "plain")
    with pytest.raises(AgentError, match="plain is a ReplayBuffer; give one that such an agent saved"):
        rainbow().load_replay_buffer(tmp_path / "plain")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"noisy": False}, "noisy is part of the trained network and stays True, got False; train a new agent"),
        ({"components": RainbowComponents(v_min=0.0, v_max=500.0)}, "v_max is part of the trained network"),
        ({"dueling_net": True}, "cannot change 'dueling_net' in loading"),
        ({"replay_buffer_kwargs": {"gamma": 0.5}}, "must not hold 'gamma'"),
    ],
)
def test_changes_that_cannot_be_are_refused_in_loading(tmp_path, changes, words):
    rainbow().save(tmp_path / "agent")
    with pytest.raises(AgentError, match=words):
        Rainbow.load(tmp_path / "agent", **changes)


def test_other_changes_are_applied_in_loading(tmp_path):
    rainbow().save(tmp_path / "agent")
    with (tmp_path / "agent.zip").open("rb") as file:
        loaded = Rainbow.load(file, multi_step=5, gamma=0.5, noisy=True, learning_rate=1e-5)
    assert (loaded.replay_buffer.multi_step, loaded.replay_buffer.gamma) == (5, 0.5)
    assert loaded.components == RainbowComponents(v_min=0.0, multi_step=5)
    assert loaded.lr_schedule(1.0) == 1e-5


def test_the_learning_rate_comes_third_as_in_stable_baselines3():
    assert Rainbow("MlpPolicy", "CartPole-v1", 3e-3, buffer_size=10).learning_rate == 3e-3


def test_arguments_of_the_replay_buffer_are_kept_and_conflicts_refused():
    agent = rainbow(replay_buffer_kwargs={"handle_timeout_termination": False})
    assert not agent.replay_buffer.handle_timeout_termination
    assert agent.replay_buffer.multi_step == 3
    with pytest.raises(AgentError, match="replay_buffer_kwargs must not hold 'alpha'; give alpha="):
        rainbow(replay_buffer_kwargs={"alpha": 0.9})
    with pytest.raises(AgentError, match="no optimize_memory_usage"):
        rainbow(optimize_memory_usage=True)


def betas(agent, monkeypatch, rounds, steps, **arguments):
    """The exponents that ``rounds`` of ``steps`` correct with."""
    seen = []
    monkeypatch.setattr(
        "rlcompress.agents.rainbow.rainbow.importance_weights",
        lambda probabilities, beta: seen.append(beta) or probabilities[:, 0] ** -beta,
    )
    for _ in range(rounds):
        agent.learn(steps, reset_num_timesteps=False, **arguments)
    return seen


def test_beta_never_falls(monkeypatch, tmp_path):
    agent = rainbow()
    seen = betas(agent, monkeypatch, 2, 40)
    assert seen == sorted(seen)
    assert seen[0] == pytest.approx(1 - 0.6 * 19 / 40)
    assert seen[-1] == 1
    agent.save(tmp_path / "agent")
    loaded = Rainbow.load(tmp_path / "agent", env=gym.make("CartPole-v1"))
    loaded.learning_starts = 0
    assert set(betas(loaded, monkeypatch, 1, 40)) == {1}


def test_schedules_run_over_the_whole_training_where_it_is_told(monkeypatch):
    agent = rainbow(noisy=False, exploration_initial_eps=1.0, exploration_final_eps=0.0, exploration_fraction=1.0)
    seen = betas(agent, monkeypatch, 2, 40, training_timesteps=160)
    assert seen == pytest.approx(1 - 0.6 * (1 - np.arange(21, 81) / 160))
    assert agent.exploration_rate == pytest.approx(0.5)


def test_a_support_that_does_not_hold_the_returns_is_warned_of_once():
    agent = rainbow(CountingEnv(gym.spaces.Discrete(2)), v_max=2.0, learning_starts=0)
    with pytest.warns(
        RlcompressWarning, match=r"% of the target returns lie beyond the support from 0 to 2: set v_min"
    ):
        agent.learn(5)
    assert agent.logger.name_to_value["train/clipped_targets"] > 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.learn(5, reset_num_timesteps=False)


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="dueling_net"):
        rainbow(dueling_net=True)
