import sys
from pathlib import Path

import pytest

from benchmarks.comparison import main, markdown, read_table
from rlcompress.searches.comparison import Reached, Trial
from rlcompress.searches.comparison_report import summary_rows, to_csv


def _trial(agent: str, seed: int, saved: float | None) -> Trial:
    reached = None if saved is None else Reached(
        id="a", energy_uj=40.0, saved_pct=saved, drop_search=0.8, drop_test=0.7 + 0.1 * seed
    )  # fmt: skip
    figures = {"evaluations": 8, "seconds": 3.0, "hypervolume": 0.5, "curve": [0.0] * 8}
    return Trial(agent=agent, seed=seed, reached={"1": reached}, **figures)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    trials = [_trial("dp", 0, 50.0), _trial("dp", 1, 52.0), _trial("random", 0, None), _trial("random", 1, None)]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "table.csv").write_text(to_csv(summary_rows(trials)))
    return tmp_path / "run"


def test_a_row_a_method_with_means_and_deviations(run: Path) -> None:
    dp, random = markdown(read_table(run / "table.csv")).splitlines()[2:]
    assert dp.startswith("| 1 | dp | 2 of 2 | 51.0 (1.4) | 0.80 (0.00) | 0.75 (0.07) |")
    assert random.startswith("| 1 | random | 0 of 2 | none | none | none |")


def test_the_picture_names_every_method(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = run.parent / "methods.svg"
    monkeypatch.setattr(sys, "argv", ["comparison", str(run), str(run), "--out", str(out)])
    main()
    assert "<!-- dp -->" in out.read_text()
