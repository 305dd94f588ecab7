"""Wrappers that turn the hybrid action into one flat Box for Stable-Baselines3, see `rlcompress.envs.flat_actions`.

``info["executed_action"]`` holds what was executed, in the same form, so that a replay buffer can store it.
"""

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from rlcompress.envs.compression_env import Action, CompressionEnv
from rlcompress.envs.episodes import Actions
from rlcompress.envs.flat_actions import COLUMNS, Absolute, FlatActions, Residual

Flat = NDArray[np.float32]


class _FlatAction(gymnasium.Wrapper[NDArray[np.float32], Flat, NDArray[np.float32], Any], RecordConstructorArgs):
    """Translates a flat action into the environment's and the executed one back."""

    def __init__(self, env: gymnasium.Env[NDArray[np.float32], Any], form: FlatActions) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        assert isinstance(env.unwrapped, CompressionEnv)
        self._env, self._form = env.unwrapped, form
        self.action_space = spaces.Box(-1.0, 1.0, (COLUMNS,), np.float32)

    @property
    def discrete_names(self) -> tuple[str, ...]:
        """What the bins of column 0 mean."""
        return self._form.names

    @property
    def discrete_actions(self) -> int:
        """Bins of column 0."""
        return len(self.discrete_names)

    def step(self, action: Flat) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Step with a flat action [4] in [-1, 1].

        Raises:
            gymnasium.error.ResetNeeded: no policy has been begun, or the last one is finished.
            gymnasium.error.InvalidAction: it is not four numbers.
        """
        self._env.check_begun()
        flat = np.asarray(action)
        if flat.shape != (COLUMNS,) or not np.isfinite(flat).all():
            raise InvalidAction(f"an action is {COLUMNS} numbers, got {flat.tolist()}")
        planned = _batched(self._env.choice(self._env.plan, self._env.layer))
        native = self._form.native(flat[None], planned)
        observation, reward, terminated, truncated, info = self.env.step(
            {"granularity": int(native.granularity[0]), "knobs": native.knobs[0]}  # type: ignore[arg-type]
        )  # Gymnasium declares the inner environment with the wrapper's own types
        info["executed_action"] = self._form.flat(_batched(info["executed"]), planned)[0]
        return observation, reward, terminated, truncated, info


class FlattenAction(_FlatAction):
    """Absolute choices, see `Absolute`."""

    def __init__(self, env: gymnasium.Env[NDArray[np.float32], Any]) -> None:
        super().__init__(env, Absolute(_unwrapped(env).granularities))


class ResidualAction(_FlatAction):
    """Choices relative to the plan, see `Residual`."""

    def __init__(self, env: gymnasium.Env[NDArray[np.float32], Any]) -> None:
        inner = _unwrapped(env)
        super().__init__(env, Residual(inner.granularities, inner.span))


def _unwrapped(env: gymnasium.Env[NDArray[np.float32], Any]) -> CompressionEnv:
    assert isinstance(env.unwrapped, CompressionEnv)
    return env.unwrapped


def _batched(action: Action) -> Actions:
    return Actions(np.array([action["granularity"]]), np.asarray(action["knobs"], np.float64)[None])
