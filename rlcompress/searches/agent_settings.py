"""`CompositeSearchSettings`: how the composite agent's search spends its time, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any, Self

import yaml
from pydantic import TypeAdapter, ValidationError

from rlcompress.agents import CompositeSettings
from rlcompress.errors import AgentError, first_problem


@dataclass(frozen=True, kw_only=True)
class CompositeSearchSettings:
    """Settings of a search by the composite agent.

    Attributes:
        episodes: on the surrogate at once.
        rounds: of that many episodes between two batches of evaluations.
        batch: evaluations between two trainings, each by a surrogate of its own.
        residual: actions are relative to the planner's policy; otherwise absolute.
        shaping: potentials pay for decisions as they are made.
        cloning: the agent first learns to repeat the planner's policies.
        conditioned: episodes are given goals all along the planner's path, not the search's own alone.
        agent: hyper-parameters of the agent itself.
    """

    episodes: int = 16
    rounds: int = 1
    batch: int = 4
    residual: bool = True
    shaping: bool = True
    cloning: bool = True
    conditioned: bool = True
    agent: CompositeSettings = field(default_factory=CompositeSettings)

    def __post_init__(self) -> None:
        for name in ("episodes", "rounds", "batch"):
            if getattr(self, name) < 1:
                raise AgentError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.episodes > 1 and isinstance(self.agent.train_freq, tuple) and self.agent.train_freq[1] == "episode":
            raise AgentError("train_freq by the episode is for one episode at a time; give steps, or episodes=1")

    def with_changes(self, changes: Mapping[str, Any]) -> Self:
        """These settings with some of them replaced; a mapping at ``agent`` replaces single hyper-parameters.

        Raises:
            AgentError: a name is no setting, or a value is wrong.
        """
        values = {**vars(self), **changes}
        known = sorted(entry.name for entry in fields(self))
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise AgentError(f"unknown setting {unknown[0]!r} of the composite search; choose from {', '.join(known)}")
        if isinstance(values.get("agent"), Mapping):
            values["agent"] = self.agent.with_changes(values["agent"])
        try:
            return TypeAdapter(type(self)).validate_python(values)
        except ValidationError as error:
            raise AgentError(first_problem(error)) from None

    @classmethod
    def of(cls, network: str) -> Self:
        """The defaults with what a network changes, from ``agent_settings.yaml``."""
        entries = _entries()
        return cls().with_changes(entries["defaults"]).with_changes(entries.get(network, {}))


@cache
def _entries() -> dict[str, dict[str, Any]]:
    text = (files("rlcompress.searches") / "agent_settings.yaml").read_text()
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return entries
