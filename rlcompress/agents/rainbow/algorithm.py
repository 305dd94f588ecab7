"""`PrioritizedAlgorithm`: what SB3 algorithms on a `PrioritizedReplayBuffer` have in common."""

import io
import pathlib
from collections.abc import Mapping
from typing import Any, Self

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback

from rlcompress.agents.rainbow.replay import PrioritizedReplayBuffer
from rlcompress.errors import AgentError

_LOADING = {"device", "custom_objects", "print_system_info", "force_reset"}
_FITTING = ("obs_shape", "action_dim", "n_envs", "multi_step", "gamma", "alpha")


class PrioritizedAlgorithm(OffPolicyAlgorithm):
    """Base of algorithms whose replay buffer sums several rewards: it cuts returns where the environment begins anew.

    Training may go on over several calls to ``learn``: given ``training_timesteps``, schedules run over them all.
    """

    replay_buffer: PrioritizedReplayBuffer

    _training_timesteps = 0

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, BaseCallback]:
        if reset_num_timesteps or self._last_obs is None:  # SB3 resets the environment
            self.replay_buffer.cut()
        return super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)

    def begin_anew(self) -> None:
        """Let the next ``learn`` begin with a reset, since what the environment's episodes are has changed."""
        self._last_obs = None

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        super()._update_current_progress_remaining(num_timesteps, max(total_timesteps, self._training_timesteps))

    def load_replay_buffer(self, path: str | pathlib.Path | io.BufferedIOBase, truncate_last_traj: bool = True) -> None:
        """Load a replay buffer saved by ``save_replay_buffer``.

        Args:
            path: of the file, or the open file.
            truncate_last_traj: whether what is stored next does not follow the newest transitions of the file.

        Raises:
            AgentError: it is of another kind, or was filled for other observations, actions, environments or
                settings than this agent's.
        """
        before = self.replay_buffer
        super().load_replay_buffer(path, truncate_last_traj)
        loaded, self.replay_buffer = self.replay_buffer, before
        if not isinstance(loaded, PrioritizedReplayBuffer):
            raise AgentError(f"replay buffer {path} is a {type(loaded).__name__}; give one that such an agent saved")
        for name in _FITTING:
            found, wanted = getattr(loaded, name), getattr(before, name)
            if found != wanted:
                raise AgentError(f"replay buffer {path} has {name} {found}, this agent needs {wanted}; give another")
        if truncate_last_traj:
            loaded.cut()
        self.replay_buffer = loaded

    @classmethod
    def load(
        cls, path: str | pathlib.Path | io.BufferedIOBase, env: GymEnv | None = None, *args: Any, **changes: Any
    ) -> Self:
        """Load an agent that ``save`` wrote.

        Args:
            path: of the file, or the open file.
            env: environment that the agent shall act in; None only to predict.
            args: as SB3's ``load``.
            changes: as SB3's ``load``, and arguments of the constructor to replace.

        Raises:
            AgentError: a change is wrong or concerns what the networks are made of, or the environment is another.
        """
        if changes:
            saved, _, _ = load_from_zip_file(path, device="cpu", custom_objects=changes.get("custom_objects"))
            assert saved is not None  # `save` always writes the agent's attributes
            changes = cls._changed(saved, changes)
            for name in sorted(changes.keys() - saved.keys() - _LOADING):
                raise AgentError(f"cannot change {name!r} in loading; give names of settings")
        return super().load(path, env, *args, **changes)

    @classmethod
    def _changed(cls, saved: Mapping[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        """The ``changes`` asked for as attributes of an agent whose ``saved`` attributes they replace."""
        raise NotImplementedError
