"""history.jsonl: one line an evaluation, appended and never written again."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rlcompress.envs import Outcome, policy_id
from rlcompress.errors import first_problem
from rlcompress.evaluation import Score
from rlcompress.files import LimitError, parse_json
from rlcompress.searches.line_file import LineFile
from rlcompress.spec import LayerChoice

Figures = dict[str, float | str | None]
"""A score's figures as JSON has them: what is no finite number is a string."""

_SCORE = TypeAdapter(Score)


class _Row(BaseModel):
    """What resuming needs of a line; the rest of it is for people and reports."""

    model_config = ConfigDict(extra="ignore")

    policy: str = Field(pattern="^[0-9a-f]{12}$")
    score: Figures


class History:
    """The evaluations of a run.

    Args:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)

    def append(self, outcome: Outcome, choices: Mapping[str, LayerChoice]) -> None:
        """Add an evaluation and what its policy does to each layer; it outlasts whatever happens afterwards.

        Raises:
            OSError: it cannot be written.
        """
        row: dict[str, Any] = {
            "evaluation": outcome.number,
            "policy": policy_id(outcome.choices),
            "source": outcome.source,
            "energy_uj": outcome.energy_uj,
            "latency_ms": outcome.latency_ms,
            "saved_pct": outcome.saved_pct,
            "score": figures_of(outcome.score),
            "choices": {name: choice.model_dump() for name, choice in choices.items()},
        }
        self._file.append(json.dumps(row, allow_nan=False))

    def read(self) -> dict[str, Score]:
        """Scores by policy, in the order of evaluation; a torn last line is cut off the file.

        Raises:
            RunError: a line before the last is damaged, or the file is too large or cannot be read.
        """
        return dict(self._file.read(_parsed))


def figures_of(score: Score) -> Figures:
    """A score for JSON, which has no NaN."""
    return {name: x if x is None or math.isfinite(x) else str(x) for name, x in asdict(score).items()}


def score_of(figures: Figures) -> Score:
    """The score that `figures_of` wrote.

    Raises:
        ValidationError: a figure is missing or no number.
    """
    return _SCORE.validate_python(figures)


def _parsed(line: str) -> tuple[str, Score]:
    try:
        row = _Row.model_validate(parse_json(line))
        return row.policy, score_of(row.score)
    except ValidationError as error:
        raise LimitError(first_problem(error)) from None
