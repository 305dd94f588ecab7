import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.buffers import NStepReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rlcompress.agents.rainbow import PrioritizedReplayBuffer
from rlcompress.errors import AgentError

GAMMA = 0.5
SPACES = (gym.spaces.Box(-1000, 1000, (1,), np.float32), gym.spaces.Discrete(2))


def filled(rows, size=16, n_envs=1, ends=(), timeouts=(), cuts=(), **changes):
    """Row t of environment e observes t + 100 e, is rewarded with that, and is followed by the next number."""
    arguments = {"multi_step": 3, "gamma": GAMMA, "alpha": 0.0} | changes
    replay = PrioritizedReplayBuffer(size * n_envs, *SPACES, device="cpu", n_envs=n_envs, **arguments)
    for t in range(rows):
        state = t + 100.0 * np.arange(n_envs)[:, None]
        infos = [{"TimeLimit.truncated": t in timeouts}] * n_envs
        done = np.full(n_envs, t in ends or t in timeouts)
        replay.add(state, state + 1, np.zeros((n_envs, 1), np.int64), state[:, 0], done, infos)
        if t in cuts:
            replay.cut()
    return replay


def drawn(replay, count=400, env=None):
    """First observation -> (return, discount, next observation, done)."""
    samples = replay.sample(count, env)
    columns = (samples.rewards, samples.discounts, samples.next_observations, samples.dones)
    keys = samples.observations[:, 0].tolist()
    return dict(zip(keys, zip(*(column[:, 0].tolist() for column in columns), strict=True), strict=True))


def test_rewards_are_summed_and_discounted():
    by_start = drawn(filled(10))
    assert set(by_start) == set(range(10))
    assert by_start[2] == pytest.approx((2 + 3 * GAMMA + 4 * GAMMA**2, GAMMA**3, 5, 0))


def test_sums_stop_at_the_newest_row_episode_ends_and_timeouts():
    by_start = drawn(filled(10, ends=(4,), timeouts=(7,)))
    assert by_start[9] == pytest.approx((9, GAMMA, 10, 0))
    assert by_start[4] == pytest.approx((4, GAMMA, 5, 1))
    assert by_start[3] == pytest.approx((3 + 4 * GAMMA, GAMMA**2, 5, 1))
    assert by_start[6] == pytest.approx((6 + 7 * GAMMA, GAMMA**2, 8, 0))  # bootstraps: a timeout is no end


def test_a_full_buffer_wraps_without_joining_old_and_new_rows():
    by_start = drawn(filled(21, size=8))
    assert set(by_start) == set(range(13, 21))
    assert by_start[14] == pytest.approx((14 + 15 * GAMMA + 16 * GAMMA**2, GAMMA**3, 17, 0))
    assert by_start[20] == pytest.approx((20, GAMMA, 21, 0))


@given(
    rows=st.integers(1, 40), size=st.integers(4, 16), cuts=st.sets(st.integers(0, 39)), ends=st.sets(st.integers(0, 39))
)
def test_no_return_is_summed_across_a_cut_or_an_end(rows, size, cuts, ends):
    for start, (total, discount, following, done) in drawn(filled(rows, size, cuts=cuts, ends=ends)).items():
        last = min([t for t in cuts | ends | {rows - 1} if t >= start])
        steps = np.arange(start, min(start + 3, last + 1))
        assert (total, discount) == pytest.approx((sum(steps * GAMMA ** (steps - start)), GAMMA ** len(steps)))
        assert (following, done) == (steps[-1] + 1, steps[-1] in ends)


def test_a_cut_is_forgotten_with_its_row_also_where_timeouts_are_not_handled():
    replay = filled(8, size=4, cuts=(3,), handle_timeout_termination=False)
    assert drawn(replay)[6][2] == 8
    assert drawn(replay)[4] == pytest.approx((4 + 5 * GAMMA + 6 * GAMMA**2, GAMMA**3, 7, 0))
    assert drawn(filled(8, size=4, cuts=(7,), handle_timeout_termination=False), 10)[7][3] == 0


def test_a_reset_forgets_transitions_and_priorities():
    replay = filled(12, alpha=1.0)
    replay.update_priorities(np.array([5]), np.array([9.0], np.float32))
    replay.reset()
    with pytest.raises(AgentError, match="the replay buffer is empty; store transitions before sampling"):
        replay.sample(3)
    state = np.array([[50.0]])
    replay.add(obs=state, next_obs=state, action=np.zeros((1, 1)), reward=np.zeros(1), done=np.zeros(1), infos=[{}])
    samples = replay.sample(20)
    assert set(samples.positions) == {0}
    np.testing.assert_allclose(samples.probabilities, 1.0)
    assert replay.priorities(np.array([0])) == 1.0


def test_shared_observations_are_refused():
    with pytest.raises(AgentError, match="no optimize_memory_usage; give a smaller buffer_size"):
        filled(1, optimize_memory_usage=True)


def test_environments_keep_apart():
    by_start = drawn(filled(8, n_envs=3), 2000)
    assert len(by_start) == 24
    assert by_start[102][2] == 105


def test_returns_agree_with_stable_baselines3():
    ours = filled(12, ends=(3, 9))
    theirs = NStepReplayBuffer(16, *SPACES, device="cpu", n_steps=3, gamma=GAMMA)
    for t in range(12):
        state = np.array([[float(t)]])
        theirs.add(state, state + 1, np.zeros((1, 1), np.int64), state[0], np.array([t in (3, 9)]), [{}])
    expected = theirs._get_samples(np.arange(12))
    for start, row in drawn(ours).items():
        index = int(start)
        assert row[0] == pytest.approx(expected.rewards[index].item())
        assert row[1] == pytest.approx(expected.discounts[index].item())
        assert row[2:] == (expected.next_observations[index].item(), expected.dones[index].item())


def test_draws_follow_the_priorities_and_say_so():
    replay = filled(4, alpha=1.0)
    replay.update_priorities(np.arange(4), np.array([1, 0, 2, 1], np.float32))
    samples = replay.sample(4000)
    share = np.bincount(samples.positions, minlength=4) / 4000
    np.testing.assert_allclose(share, [0.25, 0, 0.5, 0.25], atol=0.01)
    np.testing.assert_allclose(samples.probabilities[samples.positions == 2], 2.0, rtol=1e-4)


def test_new_transitions_have_the_highest_priority():
    replay = filled(2, alpha=1.0)
    replay.update_priorities(np.array([0]), np.array([9.0], np.float32))
    state = np.array([[50.0]])
    replay.add(state, state, np.zeros((1, 1), np.int64), np.zeros(1), np.zeros(1), [{}])
    positions = replay.sample(1900).positions
    np.testing.assert_allclose(np.bincount(positions) / 1900, [9 / 19, 1 / 19, 9 / 19], atol=0.01)


def test_exponent_zero_draws_uniformly_whatever_the_errors():
    replay = filled(4, alpha=0.0)
    replay.update_priorities(np.arange(4), np.array([1, 0, 2, 100], np.float32))
    np.testing.assert_allclose(replay.sample(64).probabilities, 1.0)


class Still(gym.Env):
    observation_space, action_space = SPACES

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, False, False, {}


def test_normalisation_is_applied_when_drawing():
    env = VecNormalize(DummyVecEnv([Still]), clip_obs=1e6, clip_reward=1e6)
    env.obs_rms.mean[:], env.obs_rms.var[:], env.ret_rms.var = 10.0, 4.0, np.array(25.0)
    samples = filled(5, multi_step=1).sample(50, env)
    states = 10 + 2 * samples.observations
    assert samples.next_observations.numpy() == pytest.approx(((states + 1 - 10) / 2).numpy(), abs=1e-3)
    assert samples.rewards.numpy() == pytest.approx((states / 5).numpy(), abs=1e-3)
