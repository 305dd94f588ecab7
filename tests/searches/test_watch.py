import csv
from pathlib import Path

import pytest
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from rlcompress.errors import RunError
from rlcompress.searches import SearchResult, search
from tests.conftest import Digits

_SETTINGS = {"evaluations": 12, "max_drop": 100.0, "score_images": 100}


class _Counter(BaseCallback):
    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def _on_step(self) -> bool:
        self.steps += 1
        return True


def _search(digits: Digits, **arguments: object) -> SearchResult:
    return search(digits.model, digits.splits, mean=digits.card.mean, std=digits.card.std, **_SETTINGS, **arguments)  # type: ignore[arg-type]


@pytest.mark.slow
def test_callbacks_see_every_step_and_loggers_every_scalar(digits: Digits, tmp_path: Path) -> None:
    counter, seen = _Counter(), []
    logger = configure(str(tmp_path / "log"), ["csv"])
    _search(digits, agent="td3", callback=[counter], logger=logger)
    _search(digits, agent="td3", callback=lambda local, _: seen.append(local["infos"]) or True)
    logger.close()
    assert counter.steps == len(seen) > 12
    rows = list(csv.DictReader((tmp_path / "log" / "progress.csv").read_text().splitlines()))
    assert sum(1 for row in rows if row.get("search/drop")) == 12
    assert {"search/energy_saved_pct", "reward/cost", "reward/drop"} <= set(rows[0])


def test_a_callback_ends_the_composite_search(digits: Digits) -> None:
    calls: list[object] = []
    assert 1 <= _search(digits, agent="composite", callback=lambda *_: calls.append(0)).evaluations < 12
    assert len(calls) == 1


def test_a_callback_that_ends_the_search_before_an_evaluation_is_told(digits: Digits) -> None:
    with pytest.raises(RunError, match="the callback ended the search before the first evaluation"):
        _search(digits, agent="td3", callback=lambda *_: False)


def test_a_callback_for_a_method_that_does_not_learn_is_refused(digits: Digits) -> None:
    with pytest.raises(RunError, match="agent 'uniform' does not learn, so it calls no callback; give on_progress"):
        _search(digits, agent="uniform", callback=_Counter())
