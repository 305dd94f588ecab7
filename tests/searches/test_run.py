import csv
import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rlcompress import hw_models
from rlcompress.candidates import Candidates, calibration_images
from rlcompress.envs import ProblemSettings
from rlcompress.errors import AgentError, NetworkError, RlcompressWarning, RunError
from rlcompress.evaluation import Evaluator, FinalScorer
from rlcompress.integer import lower
from rlcompress.searches import METHODS, SearchResult, SearchSettings, run_search, search
from rlcompress.searches.folder import RunFolder
from rlcompress.searches.run import fresh_search_images
from rlcompress.spec import CompressionPolicy, specs_from_json
from tests.conftest import Digits

_PROBLEM = ProblemSettings(score_images=200)
_OTHER = ProblemSettings(score_images=200, granularities=("none", "element"))


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
    assert result.best.drop_likely <= 1.0
    assert abs(result.best.drop_likely - result.best.drop_search) < 4 * result.best.drop_search_error + 0.5
    assert result.best.energy_saved_pct > 30.0
    assert result.best.figures.energy_uj == pytest.approx(
        result.baseline.energy_uj * (1 - result.best.energy_saved_pct / 100)
    )
    assert result.reference is not None
    assert result.reference.energy_uj > result.baseline.energy_uj


def test_the_run_folder_holds_what_it_should(finished: tuple[SearchResult, Path]) -> None:
    result, out = finished
    names = {path.name for path in out.iterdir()}
    assert {"run.json", "policy.json", "front.csv", "result.json", "history.jsonl", "report.html"} <= names
    assert [name for name in names if name.startswith("agent")] == ["agent.safetensors"]
    assert not any(name.endswith(".part") for name in names)
    assert CompressionPolicy.load(out / "policy.json") == result.policy
    assert (
        specs_from_json((out / "network.json").read_text(), "network.json")
        == result.bank.network.with_densities(result.bank.densities).specs
    )
    assert hw_models.load(out / "hardware.yaml").description == hw_models.load("scalable_sparse_16x32").description
    about = json.loads((out / "run.json").read_text())
    assert about["images"]["scored"] == 200
    assert about["input"]["shape"] == [1, 8, 8]
    saved = json.loads((out / "result.json").read_text())
    assert saved["best"]["energy_saved_pct"] == result.best.energy_saved_pct
    assert set(saved["baseline"]) == {"energy_uj", "latency_ms", "metric_search", "metric_test"}
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [line["evaluation"] for line in lines] == list(range(1, 13))
    rows = list(csv.DictReader((out / "front.csv").read_text().splitlines()))
    assert {row["id"] for row in rows} == {path.stem for path in (out / "front").iterdir()}
    assert [float(r["energy_uj"]) for r in rows] == sorted(float(r["energy_uj"]) for r in rows)


def test_tensorboard_has_everything_in_one_file(finished: tuple[SearchResult, Path]) -> None:
    result, out = finished
    (path,) = out.glob("events.out.tfevents.*")
    events = EventAccumulator(str(path), {"scalars": 0, "images": 0}).Reload()
    steps = {tag: len(events.Scalars(tag)) for tag in events.Tags()["scalars"]}
    assert steps["search/drop"] == steps["search/energy_saved_pct"] == steps["search/best_saved_pct"] == 12
    assert {"reward/cost", "reward/drop", "reward/shaping"} <= set(steps)
    assert any(tag.startswith(("train/", "rollout/", "continuous/", "discrete/")) for tag in steps)
    assert set(events.Tags()["images"]) == {"report/front", "report/layers"}
    assert events.Scalars("final/drop_test")[0].value == pytest.approx(result.best.drop_test)
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_the_policy_alone_gives_the_same_metric_again(finished: tuple[SearchResult, Path], digits: Digits) -> None:
    result, out = finished
    mean, std, everything = digits.card.mean, digits.card.std, slice(None)
    bank = Candidates(digits.network, digits.splits.calibration.normalized(everything, mean, std))
    evaluator = Evaluator(digits.network.graph, digits.splits.test, digits.card)
    policy = CompressionPolicy.load(out / "policy.json")
    assert evaluator.score(lower(bank.final(policy.choices))).metric == result.best.figures.metric_test


@pytest.mark.slow
@pytest.mark.parametrize("tier", ["t0", "t2:5"])
def test_every_tier_ends_with_a_network_that_its_policy_alone_gives(
    digits: Digits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tier: str
) -> None:
    monkeypatch.setattr("rlcompress.compensation.synthesis._STEPS", 5)
    result = _run(digits, tmp_path / "run", evaluations=4, max_drop=50.0, problem=replace(_PROBLEM, repair=tier))
    assert json.loads((tmp_path / "run" / "result.json").read_text())["repair"] == tier
    card, calibration = digits.card, digits.splits.calibration
    images = calibration_images(
        digits.network, tier, card, lambda: calibration.normalized(slice(None), card.mean, card.std)
    )
    bank = Candidates(digits.network, images, repair=str(result.policy.metrics["repair"]))
    evaluator = Evaluator(digits.network.graph, digits.splits.test, card)
    assert evaluator.score(lower(bank.final(result.policy.choices))).metric == result.best.figures.metric_test


def test_a_notebook_shows_a_table(finished: tuple[SearchResult, Path]) -> None:
    result, _ = finished
    shown = replace(result, network="<b>net</b>")._repr_html_()
    assert "&lt;b&gt;net&lt;/b&gt; on scalable_sparse_16x32, least energy: 12 evaluations" in shown
    assert f"<td>{result.best.figures.energy_uj:.2f}</td>" in shown


def test_a_prompt_shows_a_table(finished: tuple[SearchResult, Path]) -> None:
    result, _ = finished
    title, header, *rows, caption = repr(result).splitlines()
    assert title.startswith("digits_cnn on scalable_sparse_16x32, least energy: 12 evaluations")
    assert header.split()[:2] == ["energy", "µJ"]
    assert "energy M MAC" in repr(replace(result, energy_unit="M MAC")).splitlines()[1]
    assert [row[: row.index("  ")] for row in rows] == ["dense 16 bits", "dense 8 bits", "best policy"]
    assert f"on {result.best.images_test} test images" in caption


def test_the_table_says_where_test_images_lose_more_than_was_allowed(finished: tuple[SearchResult, Path]) -> None:
    result, _ = finished
    told = "test images lose more than the 1 allowed"
    for lost, expected in ((0.9, False), (1.1, False), (1.3, True)):
        best = replace(result.best, drop_test=lost, drop_test_error=0.1)
        assert (told in repr(replace(result, best=best)).splitlines()[-1]) == expected


def test_the_table_names_the_target_and_shows_both_savings(finished: tuple[SearchResult, Path]) -> None:
    result, _ = finished
    title, header, _, dense, best, _ = repr(replace(result, target="latency")).splitlines()
    assert title.startswith("digits_cnn on scalable_sparse_16x32, least latency: 12")
    assert [name in header for name in ("energy saved", "latency saved")] == [True, True]
    assert dense.count("0.0 %") == 2
    latency = 100 * (1 - result.best.figures.latency_ms / result.baseline.latency_ms)
    assert f"{result.best.energy_saved_pct:.1f} %" in best
    assert f"{latency:.1f} %" in best


def test_every_goal_gets_its_policy(digits: Digits, tmp_path: Path) -> None:
    phases: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    settings = SearchSettings(evaluations=6, agent="uniform", max_drop=5.0, goals=(0.5, 60.0), problem=_PROBLEM)
    result = run_search(
        digits.network, digits.card, digits.splits, hw_models.load("scalable_sparse_16x32"), settings,
        RunFolder(tmp_path / "run", settings.as_json()), lambda p: phases[p.phase].append((p.done, p.total)),
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "run").glob("policy*.json")) == [
        "policy.json",
        "policy_0.5.json",
        "policy_5.json",
        "policy_60.json",
    ]
    assert CompressionPolicy.load(tmp_path / "run" / "policy_60.json") == result.best_by_goal[60.0].policy
    assert CompressionPolicy.load(tmp_path / "run" / "policy_5.json") == result.policy
    assert "at most 60 lost" in repr(result)
    assert "policy_0.5.json" in (tmp_path / "run" / "report.html").read_text()
    assert result.missed is None
    assert list(phases) == ["ranges", "sensitivity", "search", "final", "test"]
    for steps in phases.values():
        assert len({total for _, total in steps[:-1]}) <= 1, "the bar does not jump"
        assert steps[-1][0] == steps[-1][1], "and is full in the end"


def _widths(folder: Path) -> list[list[tuple[int, int]]]:
    """Weight and activation bits of every layer of every evaluated policy."""
    choices = (json.loads(line)["choices"].values() for line in (folder / "history.jsonl").read_text().splitlines())
    return [[(of["weight_bits"], of["activation_bits"]) for of in policy] for policy in choices]


@pytest.mark.slow
def test_ends_have_as_many_bits_as_are_asked_for(digits: Digits, tmp_path: Path) -> None:
    problem = ProblemSettings(granularities=("none",), score_images=100, end_bits=5)
    _run(digits, tmp_path / "run", agent="random", evaluations=8, max_drop=100.0, problem=problem)
    policies = _widths(tmp_path / "run")
    assert min(min(*policy[0], *policy[-1]) for policy in policies) == 5
    assert min(min(widths) for policy in policies for widths in policy) < 5


@pytest.mark.slow
def test_a_search_that_meets_no_goal_leaves_the_nearest(digits: Digits, tmp_path: Path) -> None:
    out, narrow = tmp_path / "run", ProblemSettings(score_images=200, max_bits=2)
    with pytest.warns(RlcompressWarning, match=r"no policy loses at most 0 points: the nearest loses \d+\.\d\d; allow"):
        result = _run(digits, out, agent="uniform", evaluations=4, max_drop=0.0, problem=narrow)
    assert not result.within
    assert result.best == result.front[-1]
    saved = json.loads((out / "result.json").read_text())
    assert (saved["best"]["id"], saved["best_by_goal"], saved["missed"]) == (result.best.id, {}, result.missed)
    assert not (out / "policy.json").exists()
    assert "nearest policy" in repr(result)
    assert f"Shown is the policy that loses least: {result.missed}" in (out / "report.html").read_text()


@pytest.mark.slow
def test_an_accelerator_without_16_bits_has_no_such_row(digits: Digits, tmp_path: Path) -> None:
    _, text = hw_models.load("npu_int8").document
    description = {**yaml.safe_load(text), "name": "narrow"}
    description["bits"] |= {"weight": [4, 8], "activation": [8]}
    (tmp_path / "narrow.yaml").write_text(yaml.safe_dump(description))
    problem = replace(_PROBLEM, granularities=("none", "filter"))
    settings = SearchSettings(evaluations=4, agent="uniform", max_drop=5.0, problem=problem)
    folder = RunFolder(tmp_path / "run", settings.as_json())
    narrow = hw_models.load(tmp_path / "narrow.yaml")
    with pytest.warns(RlcompressWarning, match="narrow computes"):
        result = run_search(digits.network, digits.card, digits.splits, narrow, settings, folder)
    assert result.reference is None
    assert json.loads((tmp_path / "run" / "result.json").read_text())["baseline_16bit"] is None
    assert "16 bits" not in repr(result)
    assert "narrow" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["dp", "composite"])
def test_costs_without_energy_serve_for_latency(digits: Digits, tmp_path: Path, agent: str) -> None:
    layers = [spec.name for spec in digits.network.specs if spec.compressible]
    rows = [f"{name},{bits},8,{keep},{keep * bits},0\n" for name in layers for bits in (4, 8) for keep in (0.5, 1)]
    header = "layer,weight_bits,activation_bits,keep_ratio,latency_ms,energy_uj\n"
    (tmp_path / "board.csv").write_text(header + "".join(rows))
    problem = replace(_PROBLEM, target="latency", granularities=("none",))
    settings = SearchSettings(evaluations=12, agent=agent, max_drop=50.0, problem=problem)
    folder, board = RunFolder(tmp_path / "run", settings.as_json()), hw_models.load(tmp_path / "board.csv")
    with pytest.warns(RlcompressWarning, match="board was measured with"):
        result = run_search(digits.network, digits.card, digits.splits, board, settings, folder)
    assert result.best.energy_saved_pct == 0.0
    assert result.best.figures.latency_ms < result.baseline.latency_ms


def test_the_compressed_module_runs(finished: tuple[SearchResult, Path]) -> None:
    result, _ = finished
    assert result.compressed()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_policy(finished: tuple[SearchResult, Path], digits: Digits) -> None:
    assert _run(digits, None).policy == finished[0].policy


@pytest.mark.slow
def test_workers_change_nothing_that_is_found(
    finished: tuple[SearchResult, Path], digits: Digits, tmp_path: Path
) -> None:
    result, out = finished
    spread = _run(digits, tmp_path / "two", workers=2)
    assert spread.front == result.front
    for name in ("history.jsonl", "front.csv", "policy.json"):
        assert (tmp_path / "two" / name).read_text() == (out / name).read_text()


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
    assert (left / "final_scores.jsonl").read_text() == (out / "final_scores.jsonl").read_text()
    assert len((left / "history.jsonl").read_text().splitlines()) == 12


@pytest.mark.slow
def test_final_networks_that_are_scored_are_not_made_again(
    finished: tuple[SearchResult, Path], digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (result, out), left = finished, tmp_path / "left"
    left.mkdir()
    for name in ("run.json", "history.jsonl", "sensitivity.csv", "hardware.yaml", "network.json"):
        shutil.copy(out / name, left / name)
    lines = (out / "final_scores.jsonl").read_text().splitlines(keepends=True)
    (left / "final_scores.jsonl").write_text("".join(lines[:-2]) + lines[-2][:50])
    scored = []
    monkeypatch.setattr(FinalScorer, "__call__", _noting(scored, FinalScorer.__call__))
    assert _run(digits, left, resume=True).front == result.front
    assert len(scored) == 2
    assert (left / "final_scores.jsonl").read_text() == "".join(lines)


def _noting(seen: list[object], function: Callable[[FinalScorer, object], object]) -> Callable[..., object]:
    def noting(self: FinalScorer, choices: object) -> object:
        seen.append(choices)
        return function(self, choices)

    return noting


def test_a_folder_with_another_run_is_refused(finished: tuple[SearchResult, Path], digits: Digits) -> None:
    with pytest.raises(RunError, match="is not empty; give a new folder"):
        _run(digits, finished[1])
    with pytest.raises(RunError, match=r"begun with other settings \(seed: 0, now 1\)"):
        _run(digits, finished[1], resume=True, seed=1)


def test_a_run_goes_on_with_its_own_images_only(finished: tuple[SearchResult, Path], digits: Digits) -> None:
    backwards = torch.arange(len(digits.splits.search)).flip(0)
    other = replace(digits, splits=replace(digits.splits, search=digits.splits.search.part(backwards)))
    with pytest.raises(RunError, match=r"begun with other settings \(data: "):
        _run(other, finished[1], resume=True)


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
@pytest.mark.parametrize("agent", ["uniform", "tsdp"])
def test_a_time_limit_leaves_time_for_one_evaluation(digits: Digits, agent: str) -> None:
    assert _run(digits, None, agent=agent, evaluations=None, minutes=1e-6, max_drop=100.0).evaluations == 1


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
        score_images=200,
    )
    assert result.network == "DigitsCNN"
    assert result.evaluations == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"foo": 1}, "unknown setting 'foo'; choose from agent"),
        ({"target": "speed"}, "unknown target 'speed'"),
        ({"evaluations": 0}, "evaluations must be at least 1, got 0"),
        ({"goals": (-1.0,)}, "goals must be 0 or more points, got -1.0"),
        ({"evaluations": "four"}, "setting evaluations: Input should be a valid integer.*, got 'four'"),
        ({"granularities": "element"}, "setting granularities: Input should be a valid tuple, got 'element'"),
        ({"resume": True}, "resume goes on with a run in a folder; name that folder by out"),
        ({"agent": "dp", "agent_from": "agent.safetensors"}, "agent_from is for the agent 'composite', not for 'dp'"),
    ],
)
def test_wrong_settings_are_named(digits: Digits, settings: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        search(digits.model, digits.splits, mean=digits.card.mean, std=digits.card.std, **settings)


@pytest.mark.parametrize(
    ("model", "mean", "message"),
    [
        ("resnet20", 0.5, "cannot trace a str; give a torch.nn.Module"),
        (None, (0.5, 0.5), "DigitsCNN: mean has 2 values for 1 channels; give one a channel"),
    ],
)
def test_wrong_models_and_means_are_named(digits: Digits, model: object, mean: object, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        search(model or digits.model, digits.splits, mean=mean, std=digits.card.std)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_run_from_python_goes_on(digits: Digits, tmp_path: Path) -> None:
    def run(**changes: object) -> SearchResult:
        std = torch.tensor(digits.card.std)
        settings = {"agent": "uniform", "evaluations": 4, "max_drop": 5.0, "score_images": 200, **changes}
        return search(digits.model, digits.splits, mean=digits.card.mean[0], std=std, out=tmp_path / "run", **settings)  # type: ignore[arg-type]

    first = run()
    with pytest.raises(RunError, match=r"go on with that run by --resume \(resume=True in Python\)"):
        run()
    with pytest.raises(RunError, match="seed"):
        run(resume=True, seed=1)
    (tmp_path / "run" / "result.json").unlink()
    assert run(resume=True).policy == first.policy
    assert (tmp_path / "run" / "result.json").exists()


@pytest.mark.slow
def test_an_agent_starts_from_another_searchs(
    finished: tuple[SearchResult, Path], digits: Digits, tmp_path: Path
) -> None:
    result = _run(digits, tmp_path / "run", agent_from=str(finished[1] / "agent.safetensors"), evaluations=8)
    assert result.evaluations == 8
    with pytest.raises(AgentError, match="chooses among as planned, none, element, filter, but here among"):
        _run(digits, None, agent_from=str(finished[1] / "agent.safetensors"), problem=_OTHER)
    begun: list[object] = []
    hardware = hw_models.load("scalable_sparse_16x32")
    for path, message in (
        ("absent", "No such file"),
        ("policy.json", "give the agent.safetensors that a search wrote"),
    ):
        settings = SearchSettings(agent_from=str(finished[1] / path), problem=_PROBLEM)
        with pytest.raises(AgentError, match=message):
            run_search(digits.network, digits.card, digits.splits, hardware, settings, on_progress=begun.append)
    assert begun == []


@pytest.mark.parametrize(("scored", "fresh"), [(600, 301), (702, 901), (1000, 901)])
def test_few_fresh_images_are_joined_by_those_that_were_scored(digits: Digits, scored: int, fresh: int) -> None:
    settings = SearchSettings(problem=ProblemSettings(score_images=scored))
    assert len(digits.splits.search) == 901
    assert len(fresh_search_images(digits.splits, settings)) == fresh
