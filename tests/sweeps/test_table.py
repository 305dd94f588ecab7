import json
from pathlib import Path
from typing import Any

import pytest

from rlcompress.sweeps.plan import Job, Subject
from rlcompress.sweeps.table import Row, row_of

_BEST = {"energy_uj": 2.0, "latency_ms": 0.5, "energy_saved_pct": 60.0, "drop_search": 1.4, "drop_test": 1.5}


def _row(folder: Path, **result: Any) -> Row:
    subject = Subject(network="digits_cnn", data="digits")
    job = Job(subject=subject, hardware="npu_int8", max_drop=0.5, evaluations=4, agent="dp", seed=0, settings={})
    (folder / "run").mkdir()
    (folder / "run" / "result.json").write_text(json.dumps({"evaluations": 4, "seconds": 1.0, "best": _BEST, **result}))
    return row_of(job, folder)


@pytest.mark.parametrize("missed", [None, "no policy loses at most 0.1 points: the nearest loses 0.30"])
def test_a_search_within_its_drop_has_figures(tmp_path: Path, missed: str | None) -> None:
    row = _row(tmp_path, best_by_goal={"0.5": {"id": "a"}}, missed=missed)  # another goal may be missed
    assert (row.energy_uj, row.drop_test, row.error) == (2.0, 1.5, "")


def test_a_search_that_missed_its_drop_says_so_in_place_of_figures(tmp_path: Path) -> None:
    row = _row(tmp_path, best_by_goal={}, missed="no policy loses at most 0.5 points: the nearest loses 1.40")
    assert (row.energy_uj, row.error) == (None, "no policy loses at most 0.5 points: the nearest loses 1.40")


def test_a_search_that_ended_counts_whatever_a_second_try_said(tmp_path: Path) -> None:
    (tmp_path / "failed.json").write_text('{"error": "is being written by another search"}')
    assert _row(tmp_path).energy_saved_pct == 60.0
