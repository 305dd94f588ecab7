import csv
import json
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rlcompress import hw_models
from rlcompress.candidates import Candidates
from rlcompress.envs.problem import ProblemSettings
from rlcompress.errors import RunError
from rlcompress.evaluation import Evaluator
from rlcompress.searches import METHODS, SearchResult, SearchSettings, run_search, search
from rlcompress.searches.folder import RunFolder
from rlcompress.spec import CompressionPolicy
from tests.conftest import Digits

_PROBLEM = ProblemSettings(score_images=200)


def _run(digits: Digits, out: Path | None, *, resume: bool = False, **changes: object) -> SearchResult:
    settings = SearchSettings(**{"evaluations": 12, "problem": _PROBLEM, **changes})
    folder = None if out is None else RunFolder(out, settings.as_json(), resume=resume)
    hardware = hw_models.load("scalable_sparse_16x32")
    return run_search(digits.network, digits.card, digits.splits, hardware, settings, folder)


@pytest.fixture(scope="module")
def finished(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchResult, Path]:
    out = tmp_path_factory.mktemp("runs") / "run"
    return _run(digits, out), out


def test_the_result_is_cheaper_and_within_the_allowed_drop(finished: tuple[SearchResult, Path]) -> None:
    result, _ = finished
    assert result.evaluations == 12
    assert result.best.drop_search <= 1.0
    assert result.best.energy_saved_pct > 30.0
    assert result.best.figures.energy_uj == pytest.approx(
        result.baseline.energy_uj * (1 - result.best.energy_saved_pct / 100)
    )
    assert result.reference.energy_uj > result.baseline.energy_uj


def test_the_run_folder_holds_what_it_should(finished: tuple[SearchResult, Path]) -> None:
    result, out = finished
    names = {path.name for path in out.iterdir()}
    assert {"run.json", "policy.json", "front.csv", "result.json", "history.jsonl", "agent.zip"} <= names
    assert not any(name.endswith(".part") for name in names)
    assert CompressionPolicy.load(out / "policy.json") == result.policy
    saved = json.loads((out / "result.json").read_text())
    assert saved["best"]["energy_saved_pct"] == result.best.energy_saved_pct
    assert set(saved["baseline"]) == {"energy_uj", "latency_ms", "metric_search", "metric_test"}
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [line["evaluation"] for line in lines] == list(range(1, 13))
    rows = list(csv.DictReader((out / "front.csv").read_text().splitlines()))
    assert {row["id"] for row in rows} == {path.stem for path in (out / "front").iterdir()}
    assert [float(r["energy_uj"]) for r in rows] == sorted(float(r["energy_uj"]) for r in rows)


def test_tensorboard_has_a_point_an_evaluation(finished: tuple[SearchResult, Path]) -> None:
    _, out = finished
    steps: dict[str, int] = {}
    for path in out.glob("events.out.tfevents.*"):
        events = EventAccumulator(str(path)).Reload()
        steps.update({tag: len(events.Scalars(tag)) for tag in events.Tags()["scalars"]})
    assert steps["search/drop"] == steps["search/best_saved_pct"] == 12
    assert any(tag.startswith(("train/", "rollout/", "continuous/", "discrete/")) for tag in steps)


def test_the_policy_alone_gives_the_same_metric_again(finished: tuple[SearchResult, Path], digits: Digits) -> None:
    result, out = finished
    mean, std, everything = digits.card.mean, digits.card.std, slice(None)
    bank = Candidates(digits.network, digits.splits.calibration.normalized(everything, mean, std))
    test = digits.splits.test
    evaluator = Evaluator(digits.network.graph, test.normalized(everything, mean, std), test.labels)
    policy = CompressionPolicy.load(out / "policy.json")
    assert evaluator.score(bank.stitch(policy.choices)).metric == result.best.figures.metric_test


def test_the_compressed_module_runs(finished: tuple[SearchResult, Path]) -> None:
    result, _ = finished
    assert result.compressed()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_policy(finished: tuple[SearchResult, Path], digits: Digits) -> None:
    assert _run(digits, None).policy == finished[0].policy


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_policy(
    finished: tuple[SearchResult, Path], digits: Digits, tmp_path: Path
) -> None:
    """What a kill leaves behind: run.json, and a history whose last line is cut short."""
    result, out = finished
    left = tmp_path / "killed"
    left.mkdir()
    (left / "run.json").write_text((out / "run.json").read_text())
    lines = (out / "history.jsonl").read_text().splitlines(keepends=True)
    (left / "history.jsonl").write_text("".join(lines[:7]) + lines[7][:50])
    assert _run(digits, left, resume=True).policy == result.policy
    assert len((left / "history.jsonl").read_text().splitlines()) == 12


def test_a_folder_with_another_run_is_refused(finished: tuple[SearchResult, Path], digits: Digits) -> None:
    with pytest.raises(RunError, match="is not empty; give a new folder"):
        _run(digits, finished[1])
    with pytest.raises(RunError, match=r"begun with other settings \(seed: 0, now 1\)"):
        _run(digits, finished[1], resume=True, seed=1)


def test_nothing_to_resume_is_said(digits: Digits, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run to resume"):
        _run(digits, tmp_path / "nothing", resume=True)


def test_a_damaged_history_is_refused(finished: tuple[SearchResult, Path], digits: Digits, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text((finished[1] / "run.json").read_text())
    (tmp_path / "history.jsonl").write_text('{"policy": 1}\n{"policy": 2}\n')
    with pytest.raises(RunError, match="line 1 is damaged"):
        _run(digits, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_drop": -1.0}, "max-drop must be 0 or more"),
        ({"evaluations": 0}, "evaluations must be at least 1"),
        ({"evaluations": None}, "give a number of evaluations or of minutes"),
        ({"minutes": 0.0}, "minutes must be above 0"),
        ({"agent": "nobody"}, "unknown agent 'nobody'; choose from composite"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_wrong_settings_are_refused(digits: Digits, changes: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        _run(digits, None, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("agent", [name for name in METHODS if name != "composite"])
def test_every_method_searches(digits: Digits, tmp_path: Path, agent: str) -> None:
    result = _run(digits, tmp_path / agent, agent=agent, evaluations=6, max_drop=100.0)
    assert 1 <= result.evaluations <= 6
    assert {entry.id for entry in result.front}


@pytest.mark.slow
def test_a_time_limit_ends_the_search(digits: Digits) -> None:
    result = _run(digits, None, agent="random", evaluations=None, minutes=1e-6 + 0.3, max_drop=100.0)
    assert result.evaluations >= 1


@pytest.mark.slow
def test_the_python_entry_point(digits: Digits) -> None:
    result = search(
        digits.model,
        digits.splits,
        mean=digits.card.mean,
        std=digits.card.std,
        agent="uniform",
        evaluations=4,
        max_drop=5.0,
        problem=_PROBLEM,
    )
    assert result.network == "DigitsCNN"
    assert result.evaluations == 4
