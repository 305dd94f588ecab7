"""`PrioritizedReplayBuffer`: prioritized draws of multi-step transitions, for several environments."""

from typing import Any, NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize

from rlcompress.agents.rainbow.sum_tree import SumTree
from rlcompress.errors import AgentError


class PrioritizedSamples(NamedTuple):
    """A minibatch: SB3's ``ReplayBufferSamples`` with what importance weights and priorities need.

    Attributes:
        observations: [B, ...].
        actions: [B, actions].
        next_observations: [B, ...] after the last of the summed rewards.
        dones: [B, 1], 1 where the episode ended there for good.
        rewards: [B, 1] sum of discounted rewards.
        discounts: [B, 1] gamma to the power of the number of rewards summed.
        probabilities: [B, 1] of each draw, times the number of stored transitions (1 when uniform).
        positions: [B] for `PrioritizedReplayBuffer.update_priorities`.
    """

    observations: th.Tensor
    actions: th.Tensor
    next_observations: th.Tensor
    dones: th.Tensor
    rewards: th.Tensor
    discounts: th.Tensor
    probabilities: th.Tensor
    positions: NDArray[np.int64]


class PrioritizedReplayBuffer(ReplayBuffer):
    """Proportional prioritized replay (Schaul et al. 2016, algorithm 1) of multi-step transitions (Sutton 1988).

    Args:
        args: as SB3's ``ReplayBuffer``.
        multi_step: rewards summed before bootstrapping; fewer where the episode or the stored data end.
        gamma: discount factor a step.
        alpha: exponent of the priorities; 0 draws uniformly.
        optimize_memory_usage: must be off, as next observations are kept on their own.
        kwargs: as SB3's ``ReplayBuffer``.

    Raises:
        AgentError: ``optimize_memory_usage`` is on.
    """

    def __init__(
        self,
        *args: Any,
        multi_step: int,
        gamma: float,
        alpha: float,
        optimize_memory_usage: bool = False,
        **kwargs: Any,
    ) -> None:
        if optimize_memory_usage:
            raise AgentError("the prioritized replay has no optimize_memory_usage; give a smaller buffer_size instead")
        super().__init__(*args, **kwargs)
        self.multi_step = multi_step
        self.gamma = gamma
        self.alpha = alpha
        self._forget_priorities()

    def _forget_priorities(self) -> None:
        self._priorities = SumTree(self.buffer_size * self.n_envs)
        self._highest = 1.0

    def reset(self) -> None:
        """Empty the buffer and forget its priorities."""
        super().reset()
        self._forget_priorities()

    def add(
        self,
        obs: NDArray[Any],
        next_obs: NDArray[Any],
        action: NDArray[Any],
        reward: NDArray[Any],
        done: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Store one transition of each environment, at the highest priority seen; the arguments are SB3's."""
        positions = self.pos * self.n_envs + np.arange(self.n_envs)
        self.timeouts[self.pos] = 0.0  # the row's former end: SB3 sets it only if it handles timeouts
        super().add(obs, next_obs, action, reward, done, infos)
        self._priorities[positions] = np.full(self.n_envs, self._highest)

    def cut(self) -> None:
        """Let returns end, and bootstrap, at the newest transitions: what is stored next does not follow them."""
        if self.size():
            newest = (self.pos - 1) % self.buffer_size
            self.timeouts[newest, self.dones[newest] == 0.0] = 1.0

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> PrioritizedSamples:  # type: ignore[override]
        """Draw transitions in proportion to their priorities, one from each of ``batch_size`` equal strata.

        Raises:
            AgentError: the buffer is empty.
        """
        if not self.size():
            raise AgentError("the replay buffer is empty; store transitions before sampling, for instance by learn")
        total = self._priorities.total
        strata = (np.arange(batch_size) + np.random.random(batch_size)) / batch_size
        positions = self._priorities.find(strata * total)
        share = self._priorities[positions] / total * self.size() * self.n_envs
        return self._multi_step(positions, share[:, None].astype(np.float32), env)

    def update_priorities(self, positions: NDArray[np.int64], errors: NDArray[np.float32]) -> None:
        """Set the priorities of drawn transitions to ``(|error| + 1e-6) ** alpha``."""
        priorities = (np.abs(errors.astype(np.float64)) + 1e-6) ** self.alpha
        self._priorities[positions] = priorities
        self._highest = max(self._highest, float(priorities.max()))

    def priorities(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[rows, environments] priorities of stored rows."""
        return self._priorities[rows[:, None] * self.n_envs + np.arange(self.n_envs)]

    def set_priorities(self, priorities: NDArray[np.float64]) -> None:
        """Set the priorities [rows, environments] of the first rows, as `priorities` gave them.

        Raises:
            ValueError: they are not one positive number a transition.
        """
        if priorities.shape != (self.size(), self.n_envs) or not (priorities > 0).all():
            raise ValueError(f"priorities of shape {list(priorities.shape)} for {self.size()} transitions")
        self._priorities[np.arange(priorities.size)] = priorities.ravel()
        self._highest = max(self._highest, float(priorities.max()))

    def _multi_step(
        self, positions: NDArray[np.int64], probabilities: NDArray[np.float32], env: VecNormalize | None
    ) -> PrioritizedSamples:
        rows, envs = np.divmod(positions, self.n_envs)
        steps = (rows[:, None] + np.arange(self.multi_step)) % self.buffer_size
        count = self._summed(steps, envs)
        last = (rows + count - 1) % self.buffer_size
        rewards = self._normalize_reward(self.rewards[steps, envs[:, None]], env)
        powers = np.arange(self.multi_step)
        returns = (rewards * self.gamma**powers * (powers < count[:, None])).sum(axis=1, keepdims=True)
        data = (
            self._normalize_obs(self.observations[rows, envs], env),
            self.actions[rows, envs],
            self._normalize_obs(self.next_observations[last, envs], env),
            (self.dones[last, envs] * (1.0 - self.timeouts[last, envs]))[:, None],
            returns.astype(np.float32),
            (self.gamma ** count[:, None]).astype(np.float32),
            probabilities,
        )
        return PrioritizedSamples._make([*map(self.to_torch, data), positions])

    def _summed(self, steps: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of the ``steps`` [B, multi_step] belong together: up to an episode's end or the newest row."""
        newest = (self.pos - 1) % self.buffer_size
        columns = envs[:, None]
        ends = (self.dones[steps, columns] > 0) | (self.timeouts[steps, columns] > 0) | (steps == newest)
        return np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, self.multi_step)
