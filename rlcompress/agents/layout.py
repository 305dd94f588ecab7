"""`Layout`: what the numbers of observations and actions mean, as an environment tells it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecEnv

from rlcompress.errors import AgentError, first_problem

_RELATIVE = "as planned"  # the choice of agents that correct plans


class Layout(BaseModel):
    """What the numbers of observations and actions mean, so that an agent never acts on what it does not know.

    Attributes:
        observations: values of an observation.
        actions: columns of an action.
        discrete_actions: choices in column 0.
        fields: name and width of each part of an observation, where the environment tells them.
        choices: what the choices of column 0 are called, where the environment tells them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    observations: int = Field(ge=1, le=100_000)
    actions: int = Field(ge=2, le=1000)
    discrete_actions: int = Field(ge=2, le=1000)
    fields: list[list[str | int]] | None = None
    choices: list[str] | None = None


def layout_of(env: GymEnv, discrete_actions: int | None) -> Layout:
    """The layout of an environment whose spaces have been checked.

    ``observation_fields``, ``discrete_names`` and ``discrete_actions`` are asked for, not required.

    Args:
        env: environment, vectorised or not.
        discrete_actions: choices in column 0 where the environment does not tell them.

    Raises:
        AgentError: what it tells, or the number of choices, is not valid.
    """
    count = _told(env, "discrete_actions") or discrete_actions
    if count is None or count < 2:
        raise AgentError(
            f"discrete_actions must be at least 2, got {count}; give them, or an environment that has them"
        )
    try:
        return Layout(
            observations=env.observation_space.shape[0],  # type: ignore[index]  # a flat Box, checked by the agent
            actions=env.action_space.shape[0],  # type: ignore[index]
            discrete_actions=int(count),
            fields=[list(pair) for pair in _told(env, "observation_fields") or ()] or None,
            choices=list(_told(env, "discrete_names") or ()) or None,
        )
    except ValidationError as error:
        raise AgentError(f"the environment's {first_problem(error)}; mend what it tells of itself") from None


def check_layout(before: Layout, now: Layout, who: str = "the agent") -> None:
    """Refuse an environment of another layout than the one that an agent was trained on.

    Args:
        before: what the agent was trained on.
        now: what it shall act in.
        who: names the agent.

    Raises:
        AgentError: sizes differ, or names where both are told.
    """
    for wanted, given in zip(now.fields or (), before.fields or (), strict=False):
        if wanted != given:
            raise AgentError(
                f"{who} was trained on observations with {given[0]!r} of {given[1]} values where this "
                f"environment has {wanted[0]!r} of {wanted[1]}; train one on this version's observations"
            )
    if before.choices and now.choices and set(before.choices) ^ set(now.choices) == {_RELATIVE}:
        relative = _RELATIVE in before.choices
        raise AgentError(
            f"{who} {'corrects plans' if relative else 'follows no plan'}, but here agents "
            f"{'follow none' if relative else 'correct plans'}; give one that was trained alike (a cold search's "
            f"follows none), or from Python agent_settings={{'residual': {relative}}}"
        )
    if before.choices and now.choices and before.choices != now.choices:
        raise AgentError(
            f"{who} chooses among {', '.join(before.choices)}, but here among {', '.join(now.choices)}; "
            "search the same granularities as it was trained for"
        )
    for name in ("observations", "actions", "discrete_actions"):
        given, wanted = getattr(before, name), getattr(now, name)
        if given != wanted:
            raise AgentError(
                f"{who} was trained with {given} {name.replace('_', ' ')}, but here are {wanted}; "
                "give an agent of this environment"
            )


def _told(env: GymEnv, name: str) -> Any:
    if isinstance(env, VecEnv):
        return env.get_attr(name)[0] if env.has_attr(name) else None
    return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else None
