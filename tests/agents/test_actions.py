import gymnasium as gym
import numpy as np
import pytest
import torch as th
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.agents.actions import check_spaces, decode, decode_tensor, encode, encode_tensor, executed_actions, join
from rlcompress.errors import AgentError


@given(st.integers(1, 200), st.data())
def test_decode_inverts_encode(count, data):
    index = data.draw(st.integers(0, count - 1))
    assert decode(encode(index, count), count) == index
    assert decode_tensor(encode_tensor(th.tensor(index), count), count) == index


@given(st.integers(1, 200), st.floats(-1, 1, width=32))
def test_every_number_decodes_to_the_bin_it_lies_in(count, number):
    index = decode(number, count)
    assert 0 <= index < count
    assert abs(encode(index, count) - number) <= 1 / count + 1e-6
    assert decode_tensor(th.tensor(number), count) == index


def test_join_puts_the_index_first():
    np.testing.assert_allclose(join([0, 3], [[0.1], [0.2]], 4), [[-0.75, 0.1], [0.75, 0.2]], rtol=1e-6)


@pytest.mark.parametrize(
    "space",
    [gym.spaces.Discrete(3), gym.spaces.Box(-1, 1, (1,)), gym.spaces.Box(0, 1, (3,)), gym.spaces.Box(-1, 1, (2, 2))],
)
def test_wrong_action_spaces_are_refused(space):
    with pytest.raises(AgentError, match="action space must be"):
        check_spaces(gym.spaces.Box(-1, 1, (3,)), space)


def test_wrong_observation_space_is_refused():
    with pytest.raises(AgentError, match="observation space must be a flat Box"):
        check_spaces(gym.spaces.Dict(a=gym.spaces.Box(-1, 1, (3,))), gym.spaces.Box(-1, 1, (3,)))


def test_executed_actions_replace_the_agents_where_given():
    space, actions = gym.spaces.Box(-1, 1, (2,)), np.zeros((2, 2), np.float32)
    executed = executed_actions(space, actions, [{"executed_action": [0.5, -1]}, {}])
    np.testing.assert_array_equal(executed, [[0.5, -1], [0, 0]])
    assert not actions.any()


@pytest.mark.parametrize("wrong", [[2.0, 0.0], [0.0], [np.nan, 0.0]])
def test_a_wrong_executed_action_is_refused(wrong):
    with pytest.raises(AgentError, match="executed_action"):
        executed_actions(gym.spaces.Box(-1, 1, (2,)), np.zeros((1, 2), np.float32), [{"executed_action": wrong}])
