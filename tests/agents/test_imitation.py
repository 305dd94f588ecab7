import numpy as np
import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from rlcompress.agents import Cloning, Transitions, encode
from rlcompress.agents.imitation import large_margin_loss
from rlcompress.errors import AgentError
from tests.agents.hybrid_env import STEPS, HybridEnv, mean_reward
from tests.agents.test_composite import DISCRETE, agent_of, probe


def optimum(observations):
    return np.column_stack([encode(observations[:, :3].argmax(1), 3), observations[:, :2] / 2])


def demonstrations(count=300):
    observations = np.random.default_rng(1).uniform(-1, 1, (count, 4)).astype(np.float32)
    return observations, optimum(observations)


def episodes(count):
    """Transitions of optimal episodes; the reward numbers them."""
    observations, actions = demonstrations(count)
    dones = np.arange(count) % STEPS == STEPS - 1
    return Transitions(observations, actions, np.arange(count), np.roll(observations, -1, 0), dones)


@pytest.mark.parametrize("discrete", DISCRETE)
def test_cloning_repeats_demonstrations_and_generalises(discrete):
    agent = agent_of(discrete=discrete)
    before = mean_reward(agent)
    result = agent.imitate(*demonstrations(), Cloning(epochs=150))
    assert result.knob_error < 0.05
    assert result.index_accuracy > 0.95
    assert mean_reward(agent) > 0.9 * STEPS > before


def test_targets_follow_the_clone():
    agent = agent_of()
    agent.imitate(*demonstrations(50), Cloning(epochs=2))
    for part, online in (("actor_target", "actor"),):
        ours, target = (getattr(agent.continuous, name).state_dict() for name in (online, part))
        assert all(th.equal(ours[key], target[key]) for key in ours)
    ours, target = agent.discrete.q_net.state_dict(), agent.discrete.q_net_target.state_dict()
    assert all(th.equal(ours[key], target[key]) for key in ours)


def test_the_actor_stays_cloned_during_its_warmup_and_learns_after_it():
    agent = agent_of(actor_warmup=30, decay=0.1, learning_starts=0, random_warmup=False)
    agent.imitate(*demonstrations(50), Cloning(epochs=5))
    cloned = knobs_of(agent)
    agent.learn(30)
    assert th.equal(knobs_of(agent), cloned)
    agent.imitate(*demonstrations(50), Cloning(epochs=1))  # may come in between
    agent.learn(10, reset_num_timesteps=False)
    assert not th.allclose(knobs_of(agent), cloned)


def knobs_of(agent):
    return agent.policy.propose(th.tensor(probe()), agent.continuous.actor)[0]


def test_cloning_sees_what_a_normalising_environment_shows():
    env = VecNormalize(make_vec_env(HybridEnv, 1))
    env.obs_rms.mean[:], env.obs_rms.var[:] = 0.5, 0.04
    agent = agent_of(env)
    observations, actions = demonstrations()
    agent.imitate(observations, actions, Cloning(epochs=100))
    predicted, _ = agent.predict(env.normalize_obs(observations), deterministic=True)
    assert np.abs(predicted[:, 1:] - actions[:, 1:]).mean() < 0.05


def test_large_margin_loss_by_hand():
    q_values = th.tensor([[1.0, 2.0, 0.0], [5.0, 0.0, 1.0]])
    loss = large_margin_loss(q_values, th.tensor([0, 0]), 0.5)
    assert loss.item() == pytest.approx((2.5 - 1 + 0) / 2)


def test_remembered_transitions_are_sampled():
    agent = agent_of(discrete="dqn")
    agent.remember(episodes(50))
    samples = agent.replay_buffer.sample(64)
    at = samples.rewards[:, 0].long().numpy()
    np.testing.assert_array_equal(samples.observations, demonstrations(50)[0][at])
    np.testing.assert_array_equal(samples.dones[:, 0], at % STEPS == STEPS - 1)


def test_remembered_transitions_fill_several_environments_with_marked_cuts():
    agent = agent_of(make_vec_env(HybridEnv, 2))
    agent.remember(episodes(17))
    replay = agent.replay_buffer
    assert replay.size() == 8
    np.testing.assert_array_equal(replay.rewards[:8].T, np.arange(16).reshape(2, 8))
    assert replay.timeouts[7].tolist() == [1, 1]
    assert replay.timeouts[:7].sum() == 0


def test_remembered_transitions_do_not_follow_what_was_stored_before():
    agent = agent_of(discrete="dqn").learn(8)
    agent.remember(episodes(7))
    assert np.flatnonzero(agent.replay_buffer.timeouts).tolist() == [7, 14]


@pytest.mark.parametrize(
    ("observations", "actions", "words"),
    [
        (np.zeros((3, 5)), np.zeros((3, 3)), "shapes"),
        (np.zeros((3, 4)), np.zeros((2, 3)), "shapes"),
        (np.zeros((0, 4)), np.zeros((0, 3)), "N >= 1"),
        (np.full((3, 4), np.nan), np.zeros((3, 3)), "finite"),
        (np.zeros((3, 4)), np.full((3, 3), 1.5), "actions in"),
    ],
)
def test_wrong_demonstrations_are_refused(observations, actions, words):
    with pytest.raises(AgentError, match=words):
        agent_of().imitate(observations, actions)


def test_wrong_transitions_are_refused():
    with pytest.raises(AgentError, match="rewards and dones"):
        agent_of().remember(episodes(5)._replace(rewards=np.zeros(4)))
