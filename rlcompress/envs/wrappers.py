"""Wrappers that turn the hybrid action into one flat Box for Stable-Baselines3.

Column 0 of the Box is the granularity: index i of n lies at the centre of the i-th of n equal bins of [-1, 1]. The
others are keep ratio, weight bits and activation bits. ``info["executed_action"]`` holds what was executed, in the
same form, so that a replay buffer can store it.
"""

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlcompress.envs.compression_env import Action, CompressionEnv

Flat = NDArray[np.float32]

_RESIDUAL_RANGE = np.array([0.375, 2.4, 2.4])  # of keep ratio, weight bits and activation bits around the plan


class _FlatAction(gymnasium.Wrapper[NDArray[np.float32], Flat, NDArray[np.float32], Any]):
    """Translates a flat action into the environment's and the executed one back."""

    def __init__(self, env: gymnasium.Env[NDArray[np.float32], Any]) -> None:
        super().__init__(env)
        assert isinstance(env.unwrapped, CompressionEnv)
        self._env: CompressionEnv = env.unwrapped
        self.action_space = spaces.Box(-1.0, 1.0, (4,), np.float32)

    def step(self, action: Flat) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Step with a flat action [4] in [-1, 1]."""
        layer = self._env.layer
        observation, reward, terminated, truncated, info = self._env.step(self._native(np.asarray(action), layer))
        info["executed_action"] = self._flat(info["executed"], layer)
        return observation, reward, terminated, truncated, info

    def _native(self, action: Flat, layer: int) -> Action:
        raise NotImplementedError

    def _flat(self, executed: Action, layer: int) -> Flat:
        raise NotImplementedError


class FlattenAction(_FlatAction):
    """Absolute choices: the knobs' columns are the environment's own."""

    @property
    def discrete_actions(self) -> int:
        """Bins of column 0: the granularities."""
        return len(self._env.granularities)

    def _native(self, action: Flat, layer: int) -> Action:
        return {"granularity": _bin(action[0], self.discrete_actions), "knobs": action[1:]}

    def _flat(self, executed: Action, layer: int) -> Flat:
        return _joined(_centre(executed["granularity"], self.discrete_actions), executed["knobs"])


class ResidualAction(_FlatAction):
    """Choices relative to the plan: 0 in a knob's column is the planned value, bin 0 the planned granularity.

    A knob moves by at most 0.375 (keep ratio) or 2.4 (bits) from the plan; the other bins choose a granularity.
    """

    @property
    def discrete_actions(self) -> int:
        """Bins of column 0: the planned granularity, then every granularity."""
        return 1 + len(self._env.granularities)

    @property
    def _range(self) -> NDArray[np.float64]:
        """What a residual of 1 adds to the environment's knobs."""
        return 2.0 * _RESIDUAL_RANGE / np.maximum(self._env.span, 1e-9)

    def _native(self, action: Flat, layer: int) -> Action:
        plan = self._env.choice(self._env.plan, layer)
        chosen = _bin(action[0], self.discrete_actions)
        knobs = plan["knobs"] + np.clip(action[1:], -1.0, 1.0) * self._range
        return {"granularity": plan["granularity"] if chosen == 0 else chosen - 1, "knobs": np.clip(knobs, -1.0, 1.0)}

    def _flat(self, executed: Action, layer: int) -> Flat:
        plan = self._env.choice(self._env.plan, layer)
        planned = executed["granularity"] == plan["granularity"]
        column = _centre(0 if planned else 1 + executed["granularity"], self.discrete_actions)
        return _joined(column, (executed["knobs"] - plan["knobs"]) / self._range)


def _bin(column: float, bins: int) -> int:
    return int(np.clip(np.floor((column + 1.0) * bins / 2.0), 0, bins - 1))


def _centre(index: int, bins: int) -> float:
    return (2.0 * index + 1.0) / bins - 1.0


def _joined(column: float, knobs: NDArray[np.floating[Any]]) -> Flat:
    return np.clip(np.concatenate([[column], knobs]), -1.0, 1.0).astype(np.float32)
