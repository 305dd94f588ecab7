"""The agent's own file: safetensors with JSON beside the tensors, read without running anything.

Tensors: ``policy.*`` (all networks and their targets), ``optimizer.PART.PARAMETER.STATE`` (Adam's moments), and, if the
replay is kept, ``replay.*``. The string ``agent`` is JSON: settings, layout of observations and actions, counters.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch as th
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from stable_baselines3.common.base_class import maybe_make_env
from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor

from rlcompress.agents.actions import check_spaces
from rlcompress.agents.composite import CompositeAgent
from rlcompress.agents.layout import Layout, check_layout, layout_of
from rlcompress.agents.rainbow.components import check_network
from rlcompress.agents.replay_tensors import replay_tensors, restore_replay
from rlcompress.agents.settings import CompositeSettings
from rlcompress.errors import AgentError, first_problem
from rlcompress.files import LimitError, parse_json, reason
from rlcompress.tensor_files import read_safetensors, write_safetensors

_MAX_FILE_BYTES = 2_000_000_000
_FORMAT = "rlcompress composite agent"

_Tensors = dict[str, Tensor]


class Counters(BaseModel):
    """How far the agent has come; ``parts`` holds what its two algorithms count."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    timesteps: int = Field(ge=0)
    updates: int = Field(ge=0)
    episodes: int = Field(ge=0)
    parts: dict[str, dict[str, int | float]]


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: str
    version: int
    layout: Layout
    counters: Counters
    settings: dict[str, Any]


def save_agent(agent: CompositeAgent, path: str | Path, *, replay: bool = False) -> None:
    """Write an agent to a file in one step.

    Args:
        agent: with an environment, whose layout is written as well.
        path: of the file; ``.safetensors`` says what it is.
        replay: whether to keep the transitions too.

    Raises:
        AgentError: the agent has no environment, or the file cannot be written.
    """
    if agent.env is None:
        raise AgentError("the agent has no environment, whose layout is saved with it; give it one by set_env")
    counters = Counters(
        timesteps=agent.num_timesteps, updates=agent._n_updates, episodes=agent._episode_num, parts=agent.counters()
    )
    head = {
        "format": _FORMAT,
        "version": 1,
        "layout": layout_of(agent.env, agent.discrete_actions).model_dump(),
        "counters": counters.model_dump(),
        "settings": asdict(agent.settings),
    }
    tensors = {f"policy.{name}": tensor for name, tensor in agent.policy.state_dict().items()}
    tensors |= _optimizer_tensors(agent)
    if replay:
        tensors |= replay_tensors(agent.replay_buffer)
    try:
        write_safetensors(path, tensors, {"agent": json.dumps(head, allow_nan=False)})
    except OSError as error:
        raise AgentError(f"cannot write {path} ({reason(error)}); give another file") from None


def load_agent(
    path: str | Path, env: GymEnv | str, *, seed: int | None = None, device: th.device | str = "cpu", **changes: Any
) -> CompositeAgent:
    """Read an agent that `save_agent` wrote; it predicts exactly as the one that was saved.

    Args:
        path: of the file.
        env: environment that the agent shall act in, of the layout it was trained on.
        seed: as for `CompositeAgent`; None leaves everything unseeded.
        device: torch device.
        changes: settings to replace, such as ``learning_starts``; not those that shape the networks.

    Raises:
        AgentError: the file is no agent's, is damaged, or was trained on another layout.
    """
    tensors, head = _read(path)
    environment = maybe_make_env(env, 0)
    trained = _settings(path, head.settings)
    settings = trained.with_changes(changes)
    check_network(trained.network, settings.network)
    check_spaces(environment.observation_space, environment.action_space)
    check_layout(head.layout, layout_of(environment, head.layout.discrete_actions), f"agent {path}:")
    _check_extent(path, settings, tensors)
    agent = CompositeAgent("MlpPolicy", environment, head.layout.discrete_actions, settings, seed=seed, device=device)
    _fill(agent, tensors, path)
    counters = head.counters
    agent.num_timesteps, agent._n_updates, agent._episode_num = counters.timesteps, counters.updates, counters.episodes
    agent.set_counters(counters.parts)
    return agent


def check_agent_file(path: str | Path) -> None:
    """Check that a file holds an agent, whatever it was trained on.

    Raises:
        AgentError: it does not.
    """
    _, head = _read(path)
    _settings(path, head.settings)


def _read(path: str | Path) -> tuple[_Tensors, _Head]:
    try:
        tensors, strings = read_safetensors(path, _MAX_FILE_BYTES)
        head = _Head.model_validate(parse_json(strings["agent"]))
    except KeyError:
        raise AgentError(f"agent {path}: it holds tensors, but no agent; give a file that a search wrote") from None
    except (OSError, LimitError) as error:
        raise AgentError(f"agent {path}: {reason(error)}; give the agent.safetensors that a search wrote") from None
    except ValidationError as error:
        raise AgentError(f"agent {path}: {first_problem(error)}; give a file that a search wrote") from None
    if (head.format, head.version) != (_FORMAT, 1):
        raise AgentError(
            f"agent {path}: not of this version's format; train it again, or use the version that wrote it"
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(th.isfinite(tensor).all()):
            raise AgentError(f"agent {path}: {name!r} holds NaN or infinite values; train the agent again")
    return tensors, head


def _settings(path: str | Path, values: dict[str, Any]) -> CompositeSettings:
    try:
        return CompositeSettings.parse(values)
    except AgentError as error:
        raise AgentError(f"agent {path}: {error}") from None


def _check_extent(path: str | Path, settings: CompositeSettings, tensors: _Tensors) -> None:
    """Refuse settings that would make networks larger than the tensors that fill them."""
    hidden = sum(a * b for a, b in pairwise(settings.net_arch)) + sum(settings.net_arch)
    if hidden > sum(tensor.numel() for name, tensor in tensors.items() if name.startswith("policy.")):
        raise AgentError(f"agent {path}: net_arch does not fit its tensors; give a file that a search wrote")


def _optimizers(agent: CompositeAgent) -> dict[str, th.optim.Optimizer]:
    continuous, discrete = agent.continuous, agent.discrete
    return {
        "actor": continuous.actor.optimizer,
        "critic": continuous.critic.optimizer,
        "discrete": discrete.policy.optimizer,
    }


def _optimizer_tensors(agent: CompositeAgent) -> _Tensors:
    return {
        f"optimizer.{part}.{index}.{key}": tensor
        for part, optimizer in _optimizers(agent).items()
        for index, state in optimizer.state_dict()["state"].items()
        for key, tensor in state.items()
    }


def _fill(agent: CompositeAgent, tensors: _Tensors, path: str | Path) -> None:
    try:
        agent.policy.load_state_dict(_below(tensors, "policy."))
        for part, optimizer in _optimizers(agent).items():
            _fill_optimizer(optimizer, _below(tensors, f"optimizer.{part}."))
        replay = _below(tensors, "replay.")
        if replay:
            restore_replay(agent.replay_buffer, replay)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        problem = " ".join(str(error).split())[:160]
        raise AgentError(f"agent {path}: its tensors do not fit ({problem}); give a file that a search wrote") from None


def _fill_optimizer(optimizer: th.optim.Optimizer, tensors: _Tensors) -> None:
    """Put moments in place of an optimizer's own, which stay Adam's of the settings in all else."""
    fresh = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, _Tensors] = {}
    for index, key, tensor in _split(tensors):
        wanted = () if key == "step" else parameters[index].shape
        if key not in ("step", "exp_avg", "exp_avg_sq") or tensor.shape != wanted:
            raise ValueError(f"optimizer state {index}.{key} of shape {list(tensor.shape)}")
        state.setdefault(index, {})[key] = tensor
    if any(len(entry) != 3 for entry in state.values()):
        raise ValueError("an optimizer's state is not whole")
    optimizer.load_state_dict({**fresh, "state": state})


def _split(tensors: _Tensors) -> Iterator[tuple[int, str, Tensor]]:
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        yield int(index), key, tensor


def _below(tensors: _Tensors, prefix: str) -> _Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
