"""Behaviour cloning of hybrid actions, and demonstrations for the replay buffer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch as th
from numpy.typing import ArrayLike, NDArray

from rlcompress.agents.actions import decode_tensor
from rlcompress.agents.policy import CompositePolicy
from rlcompress.agents.rainbow import PrioritizedReplayBuffer
from rlcompress.errors import AgentError


@dataclass(frozen=True, kw_only=True)
class Cloning:
    """How to clone.

    Attributes:
        epochs: passes over the demonstrations, for the knobs and again for the index.
        batch_size: demonstrations in a minibatch.
        learning_rate: Adam's.
        margin: by how much the demonstrated index's Q-value shall exceed the others', in units of return; the smaller
            it is beside real differences, the sooner learning may choose another index.
        noise_std: Gaussian noise on the knobs that the discrete part sees, so that it also knows what to choose
            beside the demonstrated knobs, where exploration will lead.
    """

    epochs: int = 200
    batch_size: int = 64
    learning_rate: float = 1e-3
    margin: float = 0.1
    noise_std: float = 0.1


@dataclass(frozen=True)
class CloningResult:
    """How well the policy repeats the demonstrations that it was given.

    Attributes:
        knob_error: root mean square error of the knobs, on the scale of [-1, 1].
        index_accuracy: share of demonstrations whose index it chooses.
    """

    knob_error: float
    index_accuracy: float


def clone(policy: CompositePolicy, observations: th.Tensor, actions: th.Tensor, cloning: Cloning) -> CloningResult:
    """Fit actor, then discrete part, to demonstrations; the target networks follow.

    The actor is fitted by regression, the discrete part by the large-margin loss of DQfD (Hester et al. 2018), which
    leaves its outputs Q-values.

    Args:
        policy: to change in place.
        observations: [N, observation], normalised if the environment is.
        actions: [N, 1 + knobs] flattened.
        cloning: how.
    """
    index = decode_tensor(actions[:, 0], policy.discrete_actions)
    knobs = actions[:, 1:]
    actor = policy.continuous.actor

    def knob_loss(rows: th.Tensor) -> th.Tensor:
        return th.nn.functional.mse_loss(actor(policy.actor_input(observations[rows], index[rows])), knobs[rows])

    def index_loss(rows: th.Tensor) -> th.Tensor:
        proposed, features = policy.propose(observations[rows], actor)
        proposed = policy.replace(proposed, index[rows], knobs[rows])
        proposed = (proposed + cloning.noise_std * th.randn_like(proposed)).clamp(-1.0, 1.0)
        seen = policy.discrete_input(observations[rows], proposed, features)
        return large_margin_loss(policy.q_values(seen), index[rows], cloning.margin)

    policy.set_training_mode(True)
    _fit(actor.parameters(), knob_loss, len(knobs), cloning)
    _fit(policy.discrete.parameters(), index_loss, len(knobs), cloning)
    policy.set_training_mode(False)
    policy.copy_to_targets()
    return _repeated(policy, observations, index, knobs)


def large_margin_loss(q_values: th.Tensor, index: th.Tensor, margin: float) -> th.Tensor:
    """Mean of ``max_a (Q(a) + margin [a != index]) - Q(index)`` (DQfD, Hester et al. 2018, J_E).

    Args:
        q_values: [B, actions].
        index: [B] demonstrated actions.
        margin: at least 0, in units of return.
    """
    demonstrated = th.nn.functional.one_hot(index, q_values.shape[1])
    best = (q_values + margin * (1 - demonstrated)).max(dim=1).values
    return (best - q_values.gather(1, index[:, None])[:, 0]).mean()


def _fit(
    parameters: Iterable[th.nn.Parameter], loss: Callable[[th.Tensor], th.Tensor], count: int, cloning: Cloning
) -> None:
    optimizer = th.optim.Adam(parameters, cloning.learning_rate)
    for _ in range(cloning.epochs):
        for rows in th.split(th.randperm(count), cloning.batch_size):
            optimizer.zero_grad()
            loss(rows).backward()
            optimizer.step()


@th.no_grad()
def _repeated(policy: CompositePolicy, observations: th.Tensor, index: th.Tensor, knobs: th.Tensor) -> CloningResult:
    actions = policy.forward(observations, deterministic=True)
    chosen = decode_tensor(actions[:, 0], policy.discrete_actions)
    error = (actions[:, 1:] - knobs).square().mean().sqrt()
    return CloningResult(error.item(), (chosen == index).float().mean().item())


def check_demonstrations(
    observations: ArrayLike, actions: ArrayLike, observation_size: int, action_size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The demonstrations as float32 arrays [N, observation_size] and [N, action_size].

    Raises:
        AgentError: other shapes, none at all, values that are not finite, or actions outside [-1, 1].
    """
    seen, done = np.asarray(observations, dtype=np.float32), np.asarray(actions, dtype=np.float32)
    wanted = ((len(seen), observation_size), (len(seen), action_size))
    if (seen.shape, done.shape) != wanted or len(seen) == 0:
        raise AgentError(f"demonstrations must be of shapes {wanted} with N >= 1, got {seen.shape} and {done.shape}")
    if not (np.isfinite(seen).all() and np.abs(done).max() <= 1.0):
        raise AgentError("demonstrations need finite observations and actions in [-1, 1]")
    return seen, done


class Transitions(NamedTuple):
    """Demonstrated transitions in the order in which they followed one another, episode after episode.

    Attributes:
        observations: [N, observation], as the environment gives them.
        actions: [N, 1 + knobs] flattened.
        rewards: [N].
        next_observations: [N, observation].
        dones: [N], true where an episode ended.
    """

    observations: ArrayLike
    actions: ArrayLike
    rewards: ArrayLike
    next_observations: ArrayLike
    dones: ArrayLike


def store(replay: PrioritizedReplayBuffer, transitions: Transitions) -> None:
    """Add N transitions to a replay buffer of E environments, as E equally long streams.

    Up to E - 1 of the last transitions are left out. No return is summed across the ends of the streams, nor from what
    was stored before into them.

    Raises:
        AgentError: the transitions do not fit the buffer.
    """
    size = int(np.prod(replay.obs_shape))
    observations, actions = check_demonstrations(*transitions[:2], size, replay.action_dim)
    following, _ = check_demonstrations(transitions.next_observations, actions, size, replay.action_dim)
    rewards, dones = np.asarray(transitions.rewards, dtype=np.float32), np.asarray(transitions.dones, dtype=np.bool_)
    if (rewards.shape, dones.shape) != ((len(actions),), (len(actions),)):
        raise AgentError(f"rewards and dones must be of shape ({len(actions)},), got {rewards.shape} and {dones.shape}")
    rows = len(actions) // replay.n_envs
    replay.cut()
    for row in range(rows):
        at = np.arange(replay.n_envs) * rows + row
        replay.add(observations[at], following[at], actions[at], rewards[at], dones[at], [{}] * replay.n_envs)
    replay.cut()
