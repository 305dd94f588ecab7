import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlcompress.envs import Outcome, policy_id
from rlcompress.errors import RunError
from rlcompress.evaluation import Score
from rlcompress.searches.history import History
from rlcompress.spec import ChoiceBatch, LayerChoice

SCORE = Score(metric=90.0, drop=0.5, drop_error=0.1, agreement=99.0, logit_mse=0.01, images=200)
CHOICES = {"a": LayerChoice(), "b": LayerChoice(weight_bits=4)}


def outcome(number: int, **score: float | None) -> Outcome:
    ones = np.ones((1, 2), np.int64)
    choices = ChoiceBatch(ones * 0, np.ones((1, 2)), ones * 8, ones * number)
    return Outcome(number, "test", choices, 1.0, 2.0, 3.0, replace(SCORE, **score))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def test_what_is_appended_is_read_in_order(path: Path) -> None:
    for number in (3, 1, 2):
        History(path).append(outcome(number, metric=80.0 + number), CHOICES)
    scores = History(path).read()
    assert list(scores) == [policy_id(outcome(number).choices) for number in (3, 1, 2)]
    assert [score.metric for score in scores.values()] == [83.0, 81.0, 82.0]
    assert json.loads(path.read_text().splitlines()[0])["choices"]["b"]["weight_bits"] == 4


def test_scores_that_are_no_numbers_come_back(path: Path) -> None:
    History(path).append(outcome(1, logit_mse=math.inf, drop=math.nan, agreement=None), CHOICES)
    json.loads(path.read_text(), parse_constant=pytest.fail)
    (score,) = History(path).read().values()
    assert (score.logit_mse, score.agreement) == (math.inf, None)
    assert math.isnan(score.drop)


def test_no_file_is_an_empty_history(path: Path) -> None:
    assert History(path).read() == {}


@pytest.mark.parametrize("left", [1, 50, -1])
def test_a_torn_last_line_is_cut_off_and_the_next_one_is_whole(path: Path, left: int) -> None:
    history = History(path)
    for number in (1, 2):
        history.append(outcome(number), CHOICES)
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    path.write_bytes(whole[:start] + whole[start:][:left])
    assert len(history.read()) == 1
    assert path.read_bytes() == whole[:start]
    history.append(outcome(2), CHOICES)
    assert path.read_bytes() == whole


def test_a_damaged_line_before_the_last_is_named(path: Path) -> None:
    for number in (1, 2):
        History(path).append(outcome(number), CHOICES)
    before = path.read_bytes().replace(b'"metric": 90.0', b'"metric": "x"', 1)
    path.write_bytes(before)
    with pytest.raises(RunError, match="line 1 is damaged"):
        History(path).read()
    assert path.read_bytes() == before


def test_a_line_is_synced_before_the_search_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    History(path).append(outcome(1), CHOICES)
    assert path.stat().st_size in synced
