"""`ScoreStore`: scores by policy that survive an interruption."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from rlcompress.errors import first_problem
from rlcompress.evaluation import Score
from rlcompress.files import LimitError, parse_json
from rlcompress.searches.history import Figures, figures_of, score_of
from rlcompress.searches.line_file import LineFile


class _Row(BaseModel):
    policy: str
    scores: list[Figures] = Field(min_length=1)


class ScoreStore(Mapping[str, Score]):
    """Policy id -> score, in memory and in a file of one JSON object a line.

    Args:
        path: of the file; what it holds is read, and a last line that was cut short is dropped.

    Raises:
        RunError: the file is damaged elsewhere.
    """

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self._scores = dict(self._file.read(_parsed))

    def add(self, policy: str, scores: Sequence[Score]) -> None:
        """Keep the scores of a policy, if there are none yet."""
        if policy in self._scores:
            return
        self._scores[policy] = list(scores)
        self._file.append(json.dumps({"policy": policy, "scores": [figures_of(score) for score in scores]}))

    def all(self, policy: str) -> list[Score]:
        """Every score of a policy."""
        return self._scores[policy]

    def __getitem__(self, policy: str) -> Score:
        """The first score of a policy."""
        return self._scores[policy][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scores)

    def __len__(self) -> int:
        return len(self._scores)


def _parsed(line: str) -> tuple[str, list[Score]]:
    try:
        row = _Row.model_validate(parse_json(line))
        return row.policy, [score_of(figures) for figures in row.scores]
    except ValidationError as error:
        raise LimitError(first_problem(error)) from None
