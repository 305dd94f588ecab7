"""The replay buffer as tensors, for the agent's file."""

from typing import Any

import numpy as np
import torch as th
from torch import Tensor

from rlcompress.agents.rainbow import PrioritizedReplayBuffer

_COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def replay_tensors(buffer: Any) -> dict[str, Tensor]:
    """The stored rows of a buffer, their priorities and the row to be written next."""
    assert isinstance(buffer, PrioritizedReplayBuffer)
    rows = buffer.size()
    if not rows:
        return {}
    columns = {name: getattr(buffer, name)[:rows] for name in _COLUMNS}
    columns |= {"priorities": buffer.priorities(np.arange(rows)), "position": np.array([buffer.pos])}
    return {f"replay.{name}": th.from_numpy(np.ascontiguousarray(values)) for name, values in columns.items()}


def restore_replay(buffer: Any, tensors: dict[str, Tensor]) -> None:
    """Fill an empty buffer.

    Raises:
        ValueError: the rows do not fit the buffer.
        KeyError: a column is missing.
    """
    assert isinstance(buffer, PrioritizedReplayBuffer)
    rows, position = len(tensors["observations"]), int(tensors["position"].item())
    full = rows == buffer.buffer_size
    if not (0 <= position < rows if full else position == rows < buffer.buffer_size):
        raise ValueError(f"{rows} transitions for a replay of {buffer.buffer_size}")
    for name in _COLUMNS:
        own, given = getattr(buffer, name), tensors[name].numpy()
        if given.shape != (rows, *own.shape[1:]) or given.dtype != own.dtype:
            raise ValueError(f"replay.{name} of shape {list(given.shape)}")
        own[:rows] = given
    buffer.pos, buffer.full = position, full
    buffer.set_priorities(tensors["priorities"].numpy())
