"""Views of the shared replay buffer: each part reads the same transitions, reduced to its own action columns."""

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from rlcompress.agents.actions import decode_tensor
from rlcompress.agents.policy import CompositePolicy
from rlcompress.agents.rainbow import PrioritizedReplayBuffer, PrioritizedSamples


class KnobView:
    """What the continuous part samples: the knobs as the action."""

    def __init__(self, buffer: PrioritizedReplayBuffer) -> None:
        self.buffer = buffer

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Uniform one-step transitions with actions [B, knobs], however the discrete part draws its own."""
        samples = ReplayBuffer.sample(self.buffer, batch_size, env=env)
        return samples._replace(actions=samples.actions[:, 1:])


class IndexView:
    """What the discrete part samples: the index as the action, observations conditioned on the knobs.

    The next observation carries the target actor's knobs, so that the target is
    r + gamma max_k Q'(s', mu'(s'), k) (P-DQN, Xiong et al. 2018, eq. 5 and algorithm 1).
    """

    def __init__(self, buffer: PrioritizedReplayBuffer, policy: CompositePolicy) -> None:
        self.buffer = buffer
        self.policy = policy

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> PrioritizedSamples:
        """Transitions drawn by priority, with actions [B, 1] (int64) and conditioned observations."""
        samples = self.buffer.sample(batch_size, env=env)
        part = self.policy.continuous
        knobs = samples.actions[:, 1:]
        next_knobs = part.actor_target(samples.next_observations).detach()
        return samples._replace(
            observations=self.policy.condition(samples.observations, knobs, part.actor),
            actions=decode_tensor(samples.actions[:, :1], self.policy.discrete_actions),
            next_observations=self.policy.condition(samples.next_observations, next_knobs, part.actor_target),
        )

    def update_priorities(self, positions: NDArray[np.int64], errors: NDArray[np.float32]) -> None:
        """Set the priorities of drawn transitions."""
        self.buffer.update_priorities(positions, errors)
