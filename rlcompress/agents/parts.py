"""The composite agent's parts: SB3 algorithms without an environment of their own, listed in plain tables."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib import QRDQN
from stable_baselines3 import DDPG, DQN, TD3
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rlcompress.agents.policy import last_layer
from rlcompress.agents.rainbow import Rainbow
from rlcompress.agents.settings import CompositeSettings

Part = TypeVar("Part", bound=OffPolicyAlgorithm)


def _td3(settings: CompositeSettings, **arguments: Any) -> TD3:
    return TD3(policy_delay=settings.policy_delay, policy_kwargs={"net_arch": list(settings.net_arch)}, **arguments)


def _ddpg(settings: CompositeSettings, **arguments: Any) -> TD3:
    return DDPG(policy_kwargs={"net_arch": list(settings.net_arch)}, **arguments)


def _dqn(settings: CompositeSettings, **arguments: Any) -> DQN:
    return DQN(policy_kwargs={"net_arch": list(settings.net_arch)}, **arguments)


def _qrdqn(settings: CompositeSettings, **arguments: Any) -> QRDQN:
    policy_kwargs = {"net_arch": list(settings.net_arch), "n_quantiles": settings.n_quantiles}
    return QRDQN(policy_kwargs=policy_kwargs, **arguments)


def _rainbow(settings: CompositeSettings, **arguments: Any) -> Rainbow:
    policy_kwargs = {"net_arch": list(settings.net_arch)}
    return Rainbow(components=settings.rainbow, policy_kwargs=policy_kwargs, **arguments)


CONTINUOUS: dict[str, Callable[..., TD3]] = {"td3": _td3, "ddpg": _ddpg}
DISCRETE: dict[str, Callable[..., DQN | QRDQN]] = {"rainbow": _rainbow, "qrdqn": _qrdqn, "dqn": _dqn}


def actor_space(observation_space: spaces.Box, discrete_actions: int, settings: CompositeSettings) -> spaces.Box:
    """Space of what the actor sees: observation (+ one-hot index)."""
    return _widened(observation_space, discrete_actions if settings.knobs_per_index else 0)


def discrete_space(
    observation_space: spaces.Box, discrete_actions: int, knobs: int, settings: CompositeSettings
) -> spaces.Box:
    """Space of what the discrete part sees: observation (+ actor features) (+ knobs of every index)."""
    features = settings.net_arch[-1] if settings.condition_on_features else 0
    proposed = knobs * (discrete_actions if settings.knobs_per_index else 1)
    return _widened(observation_space, features + (proposed if settings.condition_on_knobs else 0))


def _widened(space: spaces.Box, columns: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (space.shape[0] + columns,), np.float32)


def build_continuous(
    settings: CompositeSettings, observation_space: spaces.Box, knobs: int, device: th.device, n_envs: int
) -> TD3:
    """The part that sets the knobs, seeing ``observation_space``; its actor's last layer starts near 0."""
    part = CONTINUOUS[settings.continuous](
        settings, learning_rate=settings.learning_rate, tau=settings.tau, **_shared(settings, device)
    )
    _set_up(part, observation_space, spaces.Box(-1.0, 1.0, (knobs,), np.float32), n_envs)
    bound = settings.actor_last_layer
    for parameter in last_layer(part.actor).parameters():
        th.nn.init.uniform_(parameter, -bound, bound)
    part.actor_target.load_state_dict(part.actor.state_dict())
    return part


def build_discrete(
    settings: CompositeSettings, observation_space: spaces.Box, discrete_actions: int, device: th.device, n_envs: int
) -> DQN | QRDQN:
    """The part that chooses the index, seeing ``observation_space``."""
    part = DISCRETE[settings.discrete](
        settings,
        learning_rate=settings.discrete_learning_rate,
        tau=settings.target_tau,
        target_update_interval=max(settings.target_update_interval, n_envs),
        exploration_fraction=settings.exploration_fraction,
        exploration_initial_eps=settings.exploration_initial_eps,
        exploration_final_eps=settings.exploration_final_eps,
        **_shared(settings, device),
    )
    return _set_up(part, observation_space, spaces.Discrete(discrete_actions), n_envs)


def _shared(settings: CompositeSettings, device: th.device) -> dict[str, Any]:
    # the buffer of one transition is never written: the agent hands each part a view of its own
    return {
        "policy": "MlpPolicy",
        "env": None,
        "gamma": settings.gamma,
        "batch_size": settings.batch_size,
        "buffer_size": 1,
        "device": device,
        "_init_setup_model": False,
    }


def _set_up(part: Part, observation_space: spaces.Box, action_space: spaces.Space[Any], n_envs: int) -> Part:
    part.observation_space = observation_space
    part.action_space = action_space
    part.n_envs = n_envs
    part._setup_model()
    return part
