import json
from pathlib import Path

import pytest

from benchmarks.results.plan import Cell
from benchmarks.results.rows import read_csv, rows_of, to_csv
from rlcompress.errors import RunError
from rlcompress.report.run_folder import read_run
from rlcompress.spec import LayerChoice
from tests.benchmarks.results.conftest import MakeRow
from tests.report.conftest import SETTINGS, write_run

CELL = Cell("digits_cnn", "scalable_sparse_16x32", "t1", "composite", 0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run that served 5 points and did not get within 2."""
    folder = tmp_path / "run"
    (folder / "front").mkdir(parents=True)
    write_run(folder, SETTINGS, finished=True)
    result = json.loads((folder / "result.json").read_text())
    result["best_by_goal"] = {"5": result["best"]}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "front" / f"{result['best']['id']}.json").write_text((folder / "policy.json").read_text())
    return folder


def test_a_row_a_goal_with_figures_where_it_was_reached(run: Path) -> None:
    missing, found = rows_of(CELL, run)
    data = read_run(run)
    dense = data.hardware.cost(data.specs, dict.fromkeys(data.layers, LayerChoice()))
    assert (missing.goal, missing.policy, missing.met, missing.saved("energy_uj")) == (2.0, "", None, None)
    assert missing.energy_uj_8bit == found.energy_uj_8bit == pytest.approx(dense.energy_uj, rel=1e-5)
    assert found.energy_uj == pytest.approx(data.result.best.energy_uj, rel=1e-5)
    assert found.saved("energy_uj") == pytest.approx(100 * (1 - found.energy_uj / found.energy_uj_8bit))
    assert found.gbops_16bit == pytest.approx(4 * found.gbops_8bit, rel=1e-5)
    assert found.weights_kb < found.weights_kb_8bit < found.weights_kb_16bit
    assert found.policy == " ".join(["e64w6a7"] * len(data.layers))
    assert (found.minutes, found.metric_test, found.drop_test, found.met) == (0.1, 98.0, 0.8, True)
    assert found.interval == pytest.approx(1.96 * 0.4, rel=1e-4)


def test_the_file_gives_the_same_rows_back(run: Path, make_row: MakeRow, tmp_path: Path) -> None:
    wide = {f"{key}_16bit": None for key in ("energy_uj", "latency_ms", "weights_kb", "gbops")}
    rows = [*rows_of(CELL, run), make_row(**wide)]
    (tmp_path / "rows.csv").write_text(to_csv(rows))
    assert read_csv(tmp_path / "rows.csv") == rows


def test_an_unfinished_search_is_no_row(tmp_path: Path) -> None:
    write_run(tmp_path, SETTINGS, finished=False)
    with pytest.raises(RunError, match="holds no finished search"):
        rows_of(CELL, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("cifar_resnet20", "resnet", "unknown network 'resnet'"), ("91.73", "x", "is damaged .*metric_test")],
)
def test_damage_is_told_in_one_line(make_row: MakeRow, tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "rows.csv").write_text(to_csv([make_row()]).replace(old, new, 1))
    with pytest.raises(RunError, match=message):
        read_csv(tmp_path / "rows.csv")
    with pytest.raises(RunError, match="No such file"):
        read_csv(tmp_path / "none.csv")
