import json
from pathlib import Path
from typing import Any

import pytest

from rlcompress.planning import SensitivityRow
from rlcompress.searches.folder import RunFolder
from rlcompress.sweeps.shared import measured_before

ASKED: dict[str, Any] = {
    "network": "vdsr",
    "hardware": "npu_int8",
    "repair": "t1",
    "agent": "dp",
    "seed": 0,
    "goals": [],
}
ROW = SensitivityRow(layer="conv", factor="weight_bits", value=4.0, logit_mse=0.1, kl=0.2)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another search of the sweep, begun on the same problem, with its sensitivity table."""
    run = RunFolder(tmp_path / "sweep" / "other" / "run", {})
    run.path.mkdir(parents=True)
    run.write("run.json", json.dumps({"settings": ASKED, "data": {"sha256": "f"}}))
    run.save_sensitivity([ROW])
    return run.path


def test_the_table_of_another_method_seed_or_goal_serves_too(other: Path, tmp_path: Path) -> None:
    asked = {**ASKED, "agent": "composite", "seed": 1, "goals": [0.5]}
    own = tmp_path / "sweep" / "own" / "run"
    assert measured_before(own, asked, "f") == other
    assert RunFolder(own, asked, measured=other).read_sensitivity() == (ROW,)
    assert RunFolder(own, asked).read_sensitivity() == ()


@pytest.mark.parametrize("changes", [{"repair": "t2"}, {"hardware": "eyeriss_v1"}, {"weights_sha256": "w"}])
def test_another_problem_is_measured_again(other: Path, tmp_path: Path, changes: dict[str, str]) -> None:
    own = tmp_path / "sweep" / "own" / "run"
    assert measured_before(own, {**ASKED, **changes}, "f") is None
    assert measured_before(own, ASKED, "other images") is None
    assert measured_before(other, ASKED, "f") is None


def test_damaged_runs_are_passed_over(other: Path, tmp_path: Path) -> None:
    for text in ("{", '{"settings": 1}', '{"settings": {}, "data": 3}'):
        (other / "run.json").write_text(text)
        assert measured_before(tmp_path / "sweep" / "own" / "run", ASKED, "f") is None
