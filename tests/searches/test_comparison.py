import csv
import json
from pathlib import Path

import numpy as np
import pytest

from rlcompress import hw_models
from rlcompress.errors import RunError
from rlcompress.evaluation import Score
from rlcompress.searches import SearchSettings
from rlcompress.searches.comparison import Trial, compare, hypervolume
from rlcompress.searches.comparison_report import plot_html, summary_rows, to_csv
from rlcompress.searches.folder import lock_of
from rlcompress.searches.score_store import ScoreStore
from tests.conftest import Digits
from tests.searches.test_selection import outcome_of

_AGENTS = ("uniform", "dp", "random")


def _compare(digits: Digits, folder: Path, agents: tuple[str, ...] = _AGENTS, **changes: object) -> list[Trial]:
    settings = SearchSettings.of({"evaluations": 5, "goals": (3.0,), "score_images": 100, "max_drop": 1.0, **changes})
    hardware = hw_models.load("scalable_sparse_16x32")
    folder.mkdir(exist_ok=True)
    return compare(digits.network, digits.card, digits.splits, hardware, settings, agents, (0, 1), folder)


@pytest.fixture(scope="module")
def compared(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Trial], Path]:
    folder = tmp_path_factory.mktemp("compare")
    return _compare(digits, folder), folder


def test_every_method_gets_the_same_evaluations(compared: tuple[list[Trial], Path]) -> None:
    trials, _ = compared
    assert [(trial.agent, trial.seed) for trial in trials] == [(agent, seed) for seed in (0, 1) for agent in _AGENTS]
    assert {trial.evaluations for trial in trials} == {5}
    assert all(len(trial.curve) == 5 and trial.seconds > 0 and trial.hypervolume > 0 for trial in trials)
    assert all(set(trial.reached) == {"1", "3"} for trial in trials)


def test_scores_are_shared_and_seeds_of_a_fixed_method_agree(compared: tuple[list[Trial], Path]) -> None:
    trials, folder = compared
    stored = ScoreStore(folder / "scores.jsonl")
    assert 5 <= len(stored) < 5 * len(trials)
    first, second = (trial for trial in trials if trial.agent == "uniform")
    assert first.reached == second.reached


def test_finished_trials_are_not_run_again(compared: tuple[list[Trial], Path], digits: Digits) -> None:
    trials, folder = compared
    lines = (folder / "scores.jsonl").read_text()
    assert _compare(digits, folder) == trials
    assert (folder / "scores.jsonl").read_text() == lines


def test_two_comparisons_do_not_share_a_folder(compared: tuple[list[Trial], Path], digits: Digits) -> None:
    with lock_of(compared[1]), pytest.raises(RunError, match="is being written by another search; wait for it"):
        _compare(digits, compared[1])


def test_table_and_plot(compared: tuple[list[Trial], Path]) -> None:
    trials, _ = compared
    rows = list(csv.DictReader(to_csv(summary_rows(trials)).splitlines()))
    assert [(float(row["max_drop"]), row["agent"]) for row in rows] == [(g, a) for g in (1.0, 3.0) for a in _AGENTS]
    dp = [trial for trial in trials if trial.agent == "dp"]
    energies = [trial.reached["1"].energy_uj for trial in dp if trial.reached["1"]]
    assert float(rows[1]["energy_uj"]) == pytest.approx(np.mean(energies))
    page = plot_html(trials, "digits")
    assert "uniform" in page
    assert 'src="http' not in page


def test_hypervolume_by_hand() -> None:
    outcomes = [outcome_of(1, 50.0, 1.0, 0.0, noise=1e-3), outcome_of(2, 20.0, 0.0, 0.0, noise=1e-3)]
    assert hypervolume(outcomes) == pytest.approx((50 * 4 + 20 * 1) / 500)


def test_a_store_drops_a_line_that_was_cut_short(tmp_path: Path) -> None:
    path, score = tmp_path / "scores.jsonl", Score(90.0, 1.0, 0.1, 99.0, 0.5, 100)
    store = ScoreStore(path)
    store.add("a", [score])
    store.add("b", [score, score])
    path.write_text(path.read_text()[:-20])
    assert dict(ScoreStore(path)) == {"a": score}
    assert len(path.read_text().splitlines()) == 1
    path.write_text("{}\n" + json.dumps({"policy": "a", "scores": []}) + "\n")
    with pytest.raises(RunError, match="line 1 is damaged"):
        ScoreStore(path)


def test_wrong_input(digits: Digits, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="unknown agent 'tdp'"):
        _compare(digits, tmp_path, agents=("tdp",))
    with pytest.raises(RunError, match="agent_from is for the agent 'composite'; compare it too"):
        _compare(digits, tmp_path, agents=("dp",), agent_from="agent.safetensors")
    with pytest.raises(RunError, match="equal evaluations"):
        _compare(digits, tmp_path, evaluations=None, minutes=1.0)


@pytest.mark.parametrize(
    ("agents", "changes", "message"),
    [
        ((), {}, "no agents are given, so there is nothing to compare"),
        (("dp",), {"agent": "td3", "agent_settings": {"gamma": 0.9}}, "agent_settings is for the agent 'td3'"),
        (("dp",), {"agent": "dp", "agent_settings": {"gamma": 0.9}}, "agent 'dp' has no agent_settings"),
    ],
)
def test_what_cannot_be_compared(
    digits: Digits, tmp_path: Path, agents: tuple[str, ...], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        _compare(digits, tmp_path, agents, **changes)
