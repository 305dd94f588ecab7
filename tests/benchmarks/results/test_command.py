import shutil
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from benchmarks.results.__main__ import main
from benchmarks.results.rows import read_csv
from tests.conftest import Digits

FILTERS = ("--networks", "digits_cnn", "--hardware", "scalable_sparse_16x32", "--repairs", "t1", "--methods", "uniform")


@pytest.mark.slow
def test_a_search_becomes_rows_that_come_out_again(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(digits.model.state_dict(), tmp_path / "digits_cnn.safetensors")
    common = ["results", "--weights", str(tmp_path), "--data", str(tmp_path), "--out", str(tmp_path / "out"), *FILTERS]

    def run(*options: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [*common, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().out

    status, said = run()
    assert status == 0
    assert "1/1 digits_cnn-scalable_sparse_16x32-uniform-5-s0-" in said
    rows = read_csv(tmp_path / "out" / "results.csv")
    assert [row.goal for row in rows] == [2.0, 5.0]
    assert list((tmp_path / "out").glob("rlcompress-bank/*")), "searches share what they compute of layers"
    assert all(row.policy and row.evaluations == 4 for row in rows)
    assert "| digits_cnn | 5 |" in (tmp_path / "out" / "table.md").read_text()
    assert "1/1" not in run()[1], "a finished search is not searched again"
    shutil.rmtree(next((tmp_path / "out").glob("digits_cnn-*")))
    assert "1/1" not in run()[1], "nor one whose folder is gone but whose rows are kept"
    assert read_csv(tmp_path / "out" / "results.csv") == rows
    status, said = run("--check", "--draw", "0")
    assert status == 0
    assert said.startswith("rows drawn with --draw 0")
    assert said.count(": the same") == 2
    (tmp_path / "out" / "results.csv").write_text(
        (tmp_path / "out" / "results.csv").read_text().replace(str(rows[0].energy_uj), "0.5")
    )
    assert run("--check", "--draw", "0")[0] == 1
