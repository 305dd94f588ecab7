"""Views of the shared replay buffer: each part reads the same transitions, reduced to its own action columns.

What a part is conditioned on is appended to its observations, so that the parts stay stock SB3 algorithms.
"""

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from rlcompress.agents.actions import decode_tensor
from rlcompress.agents.policy import CompositePolicy
from rlcompress.agents.rainbow import PrioritizedReplayBuffer, PrioritizedSamples


class KnobView:
    """What the continuous part samples: the knobs as the action, observations with the index.

    The next observation carries the index that the discrete part would choose there.
    """

    def __init__(self, buffer: PrioritizedReplayBuffer, policy: CompositePolicy) -> None:
        self.buffer = buffer
        self.policy = policy

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Uniform one-step transitions with actions [B, knobs], however the discrete part draws its own."""
        samples = ReplayBuffer.sample(self.buffer, batch_size, env=env)
        index = decode_tensor(samples.actions[:, 0], self.policy.discrete_actions)
        return samples._replace(
            observations=self.policy.actor_input(samples.observations, index),
            actions=samples.actions[:, 1:],
            next_observations=self._next(samples.next_observations),
        )

    @th.no_grad()
    def _next(self, observations: th.Tensor) -> th.Tensor:
        if not self.policy.knobs_per_index:
            return observations
        proposed = self.policy.propose(observations, self.policy.continuous.actor_target)
        index = self.policy.q_values(self.policy.discrete_input(observations, *proposed)).argmax(dim=1)
        return self.policy.actor_input(observations, index)


class IndexView:
    """What the discrete part samples: the index as the action, observations with the knobs of every index.

    The knobs of the executed index are those that were executed. The next observation carries the target actor's
    knobs, so that the target is r + gamma max_k Q'(s', k, x'_k(s')) (P-DQN, Xiong et al. 2018, algorithm 1).
    """

    def __init__(self, buffer: PrioritizedReplayBuffer, policy: CompositePolicy) -> None:
        self.buffer = buffer
        self.policy = policy

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> PrioritizedSamples:
        """Transitions drawn by priority, with actions [B, 1] (int64) and conditioned observations."""
        samples = self.buffer.sample(batch_size, env=env)
        policy, part = self.policy, self.policy.continuous
        index = decode_tensor(samples.actions[:, 0], policy.discrete_actions)
        knobs, features = policy.propose(samples.observations, part.actor)
        knobs = policy.replace(knobs, index, samples.actions[:, 1:])
        proposed = policy.propose(samples.next_observations, part.actor_target)
        return samples._replace(
            observations=policy.discrete_input(samples.observations, knobs, features),
            actions=index[:, None],
            next_observations=policy.discrete_input(samples.next_observations, *proposed),
        )

    def update_priorities(self, positions: NDArray[np.int64], errors: NDArray[np.float32]) -> None:
        """Set the priorities of drawn transitions."""
        self.buffer.update_priorities(positions, errors)
