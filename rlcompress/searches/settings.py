"""`SearchSettings`: everything that decides what a search does."""

import math
from dataclasses import dataclass, field
from typing import Any

from rlcompress.envs.problem import ProblemSettings
from rlcompress.errors import RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Settings of one search.

    Attributes:
        max_drop: points of the metric that may be lost.
        evaluations: real evaluations, or None to search for ``minutes``.
        minutes: wall-clock minutes, or None.
        agent: name in `rlcompress.searches.methods.METHODS`.
        seed: of everything that is drawn by chance.
        problem: target, granularities, bits and scoring images.

    Raises:
        RunError: a value is out of its range.
    """

    max_drop: float = 1.0
    evaluations: int | None = 200
    minutes: float | None = None
    agent: str = "composite"
    seed: int = 0
    problem: ProblemSettings = field(default_factory=ProblemSettings)

    def __post_init__(self) -> None:
        if not 0.0 <= self.max_drop < math.inf:
            raise RunError(f"max-drop must be 0 or more points, got {self.max_drop}")
        if self.evaluations is None and self.minutes is None:
            raise RunError("give a number of evaluations or of minutes")
        if self.evaluations is not None and self.evaluations < 1:
            raise RunError(f"evaluations must be at least 1, got {self.evaluations}")
        if self.minutes is not None and not 0.0 < self.minutes < math.inf:
            raise RunError(f"minutes must be above 0, got {self.minutes}")
        if not 0 <= self.seed < 2**32:
            raise RunError(f"seed must be from 0 to 2^32 - 1, got {self.seed}")

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        own = {key: getattr(self, key) for key in ("max_drop", "evaluations", "minutes", "agent", "seed")}
        inner = ("target", "granularities", "min_bits", "max_bits", "score_images")
        values = {key: getattr(self.problem, key) for key in inner}
        return {**own, **values, "granularities": list(self.problem.granularities)}
