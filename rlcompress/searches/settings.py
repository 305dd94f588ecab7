"""`SearchSettings`: everything that decides what a search does."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from rlcompress.candidates import tier_name
from rlcompress.envs import ProblemSettings
from rlcompress.envs.settings import check_known, settings_of
from rlcompress.errors import RunError
from rlcompress.files import file_hash

_OWN_PROBLEMS: Mapping[str, Mapping[str, Any]] = {
    "balaskas2023": {"repair": "none", "clustering": False, "granularities": ("none", "element", "channel", "filter")}
}
"""What a method's candidates are, whatever is asked for."""

_SHARES: Mapping[str, tuple[float, ...]] = {"t1": (0.8, 0.7, 0.9), "t2": (0.45, 0.36, 0.55, 0.7)}
"""Of a candidate's drop, what its final network loses: as a rule, and what else is common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Settings of one search.

    Attributes:
        max_drop: points of the metric that may be lost.
        evaluations: real evaluations, or None to search for ``minutes``.
        minutes: wall-clock minutes, or None.
        agent: name in `rlcompress.searches.methods.METHODS`.
        seed: of everything that is drawn by chance.
        agent_from: file of a trained composite agent to start from, or None.
        agent_settings: changes of `CompositeSearchSettings` by name; for td3, ddpg, sac and ppo arguments of
            Stable-Baselines3's class.
        goals: further allowed drops that the same search serves, in points.
        workers: processes that finalists and batches of policies are spread over; what is found does not depend on it.
        problem: target, granularities, bits and scoring images; ``balaskas2023`` has its own repair and
            granularities, and no clustering.

    Raises:
        RunError: a value is out of its range.
    """

    max_drop: float = 1.0
    evaluations: int | None = 200
    minutes: float | None = None
    agent: str = "composite"
    seed: int = 0
    agent_from: str | None = None
    agent_settings: Mapping[str, Any] = field(default_factory=dict)
    goals: tuple[float, ...] = ()
    workers: int = 1
    problem: ProblemSettings = field(default_factory=ProblemSettings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "problem", replace(self.problem, **_OWN_PROBLEMS.get(self.agent, {})))
        if not 0.0 <= self.max_drop < math.inf:
            raise RunError(f"max-drop must be 0 or more points, got {self.max_drop}")
        for goal in self.goals:
            if not 0.0 <= goal < math.inf:
                raise RunError(f"goals must be 0 or more points, got {goal}")
        if self.agent_from is not None and self.agent != "composite":
            raise RunError(f"agent_from is for the agent 'composite', not for {self.agent!r}; leave one of them out")
        if self.evaluations is None and self.minutes is None:
            raise RunError("give a number of evaluations or of minutes")
        if self.evaluations is not None and self.evaluations < 1:
            raise RunError(f"evaluations must be at least 1, got {self.evaluations}")
        if self.minutes is not None and not 0.0 < self.minutes < math.inf:
            raise RunError(f"minutes must be above 0, got {self.minutes}")
        if not 1 <= self.workers <= 1024:
            raise RunError(f"workers must be from 1 to 1024, got {self.workers}")
        if not 0 <= self.seed < 2**32:
            raise RunError(f"seed must be from 0 to 2^32 - 1, got {self.seed}")

    @classmethod
    def of(cls, changes: Mapping[str, Any]) -> Self:
        """Settings from single ones by name, those of `ProblemSettings` among them; lists stand for tuples.

        Raises:
            RunError: a name is no setting, or a value is of another type or out of its range.
        """
        own, inner = ({entry.name for entry in fields(of)} - {"problem"} for of in (cls, ProblemSettings))
        check_known(changes, own | inner)
        given = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in changes.items()}
        problem = ProblemSettings.of({name: given.pop(name) for name in inner & given.keys()})
        return settings_of(cls, {**given, "problem": problem}, own | {"problem"})

    @property
    def all_goals(self) -> tuple[float, ...]:
        """Every allowed drop that the search serves, ``max_drop`` first, without repetition."""
        return tuple(dict.fromkeys((self.max_drop, *self.goals)))

    @property
    def final_shares(self) -> tuple[float, ...]:
        """Of a candidate's drop, what its final network is expected to lose: as a rule, then in other cases.

        A candidate gets less repair than a policy that is kept.
        """
        return _SHARES.get(tier_name(self.problem.repair), (1.0,))

    @property
    def candidate_goals(self) -> tuple[float, ...]:
        """Drops that candidates are proposed for, the first above all, so that final networks lose those allowed."""
        return tuple(dict.fromkeys(goal / share for share in self.final_shares for goal in self.all_goals))

    def as_json(self) -> dict[str, Any]:
        """The settings that decide what is found, as JSON-able values."""
        own = {key: getattr(self, key) for key in ("max_drop", "evaluations", "minutes", "agent", "seed")}
        own |= {"goals": list(self.goals), "agent_from": self.agent_from, "agent_settings": dict(self.agent_settings)}
        if self.agent_from is not None and os.path.isfile(self.agent_from):
            own["agent_from_sha256"] = file_hash(self.agent_from)
        inner = (
            "target", "granularities", "min_bits", "max_bits", "end_bits", "round_to", "score_images", "repair",
            "correction", "memory",
        )  # fmt: skip
        values = {key: getattr(self.problem, key) for key in inner}
        if self.problem.clustering:  # left out otherwise, so that runs begun before there was a choice go on
            values["clustering"] = True
        return {**own, **values, "granularities": list(self.problem.granularities)}
