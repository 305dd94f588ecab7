"""The flattened hybrid action: column 0 encodes the discrete action, the other columns are continuous knobs.

Index ``i`` of ``n`` lies at the centre of the i-th of n equal bins of [-1, 1], so a stock continuous agent can act on
the same space and every number in [-1, 1] decodes to an index.
"""

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from rlcompress.errors import AgentError


def encode(index: ArrayLike, discrete_actions: int) -> NDArray[np.float32]:
    """Bin centres of indices.

    Args:
        index: integers in [0, discrete_actions), any shape.
        discrete_actions: number n of discrete actions.

    Returns:
        ``(2 index + 1) / n - 1`` as float32, in the shape of ``index``.

    >>> encode([0, 1, 3], 4)
    array([-0.75, -0.25,  0.75], dtype=float32)
    """
    return np.asarray((2.0 * np.asarray(index) + 1.0) / discrete_actions - 1.0, dtype=np.float32)


def decode(column: ArrayLike, discrete_actions: int) -> NDArray[np.int64]:
    """Indices of the bins that numbers in [-1, 1] lie in; the inverse of `encode` at bin centres.

    Args:
        column: numbers, any shape; beyond [-1, 1] the nearest bin counts.
        discrete_actions: number n of discrete actions.

    Returns:
        ``floor((column + 1) n / 2)`` kept within [0, n), in the shape of ``column``.

    >>> decode([-1.0, -0.3, 0.75, 1.0], 4)
    array([0, 1, 3, 3])
    """
    bins = np.floor((np.asarray(column, dtype=np.float64) + 1.0) * discrete_actions / 2.0)
    return np.clip(bins, 0, discrete_actions - 1).astype(np.int64)


def encode_tensor(index: th.Tensor, discrete_actions: int) -> th.Tensor:
    """`encode` on a tensor, kept on its device."""
    return (2.0 * index.float() + 1.0) / discrete_actions - 1.0


def decode_tensor(column: th.Tensor, discrete_actions: int) -> th.Tensor:
    """`decode` on a tensor, kept on its device."""
    return th.floor((column.double() + 1.0) * discrete_actions / 2.0).long().clamp(0, discrete_actions - 1)


def join(index: ArrayLike, knobs: ArrayLike, discrete_actions: int) -> NDArray[np.float32]:
    """Flattened actions [B, 1 + knobs] from indices [B] and knobs [B, knobs]."""
    return np.column_stack([encode(index, discrete_actions), np.asarray(knobs, dtype=np.float32)])


def executed_actions(
    space: spaces.Box, actions: NDArray[np.float32], infos: list[dict[str, Any]]
) -> NDArray[np.float32]:
    """The actions [B, 1 + knobs] that the environments executed: ``info["executed_action"]`` where it is given.

    Raises:
        AgentError: an executed action lies outside ``space``.
    """
    executed = actions.copy()
    for row, info in enumerate(infos):
        action = np.asarray(info.get("executed_action", actions[row]), dtype=np.float32)
        if not space.contains(action):
            raise AgentError(f"info['executed_action'] must lie in {space}, got {action.tolist()}")
        executed[row] = action
    return executed


def check_spaces(observation_space: spaces.Space, action_space: spaces.Space) -> None:  # type: ignore[type-arg]
    """Refuse spaces that the composite agent cannot read.

    Raises:
        AgentError: the observation is not a flat Box, or the action not a Box(-1, 1, (1 + knobs,)).
    """
    if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 1:
        raise AgentError(
            f"observation space must be a flat Box, got {observation_space}; wrap it in FlattenObservation"
        )
    good = isinstance(action_space, spaces.Box) and len(action_space.shape) == 1 and action_space.shape[0] >= 2
    if not good or np.any(action_space.low != -1.0) or np.any(action_space.high != 1.0):  # type: ignore[attr-defined]
        raise AgentError(f"action space must be Box(-1, 1, (1 + knobs,)) with at least one knob, got {action_space}")
