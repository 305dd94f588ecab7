import json
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer

from rlcompress import hw_models
from rlcompress.cli.app import app
from rlcompress.envs import ProblemSettings
from rlcompress.errors import RunError
from rlcompress.hw_models import HardwareModel
from rlcompress.network.spec_cards import built_in_specs
from rlcompress.report import energy_report, write_report
from rlcompress.report.facts import LEFT_ALONE, command
from rlcompress.report.headline import number, spreads
from rlcompress.report.policy_text import in_words
from rlcompress.report.run_folder import read_run
from rlcompress.spec import LayerChoice, fingerprint, specs_from_json
from tests.report.conftest import MakeRun

SECTIONS = ("headline", "front", "layers", "energy", "sensitivity", "learning", "hardware", "measured")


class _Page(HTMLParser):
    """Ids, addresses, meta values and visible text of a page; fails where elements do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.meta: list[str] = []
        self.scripts: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [values[key] for key in ("src", "href", "action", "data") if key in values]
        if tag == "meta":
            self.meta.append(values.get("content", ""))
        else:
            self._open.append((tag, values.get("id", "")))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tag, name = self._open[-1] if self._open else ("", "")
        if tag == "script":
            self.scripts[name] = data
        elif tag != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def _page(*runs: Path) -> _Page:
    return _Page(write_report(runs).read_text(encoding="utf-8"))


def test_a_report_has_every_section_and_loads_nothing(make_run: MakeRun) -> None:
    page = _page(make_run())
    assert set(SECTIONS) <= set(page.ids)
    assert any(text.startswith("default-src 'none'; script-src 'sha256-") for text in page.meta)
    assert len(page.ids) == len(set(page.ids))
    assert all(address.startswith("#") for address in page.addresses)
    assert {address[1:] for address in page.addresses} <= set(page.ids)


def test_the_figures_are_those_of_the_run(make_run: MakeRun) -> None:
    folder = make_run()
    page = _page(folder)
    best = json.loads((folder / "result.json").read_text())["best"]
    assert f"{best['energy_saved_pct']:.1f} % less than dense 8 bits" in page.text
    assert "points lost: 0.80 ± 0.78" in page.text
    assert "1 point was allowed; the test images say 0.80 (95 % interval 0.02 to 1.58)" in page.text
    assert "596 images cannot tell for certain" in page.text
    assert "97.20 (95.54 to 98.25)" in page.text  # Wilson's interval of 97.2 % of 596


def test_the_charts_hold_every_candidate_and_policy(make_run: MakeRun) -> None:
    charts = json.loads(_page(make_run()).scripts["charts"])
    front = charts["front-chart"]
    assert [len(trace["x"]) for trace in front["data"]] == [12, 3, 3, 1, 1]
    assert "conv1: element 64%, W6 A7" in front["data"][2]["text"][0]
    assert front["views"]["latency"]["values"][0] != front["data"][0]["y"]
    assert len(charts["learning-chart"]["data"][2]["y"]) == 12
    assert len(charts["sensitivity-chart"]["data"][0]["z"]) == 6
    assert sum(trace["x"][1] for trace in charts["energy-chart"]["data"]) == pytest.approx(
        next(t["y"][0] for t in front["data"] if t["name"] == "dense 8 bits")
    )


def test_a_running_search_is_told_as_one(make_run: MakeRun) -> None:
    page = _page(make_run(finished=False))
    assert "No final result yet: 12 of 12 evaluations are recorded" in page.text
    assert "a candidate, not final" in page.text
    assert set(SECTIONS) <= set(page.ids)


def test_a_search_that_has_just_begun(make_run: MakeRun) -> None:
    folder = make_run(finished=False)
    (folder / "history.jsonl").unlink()
    (folder / "sensitivity.csv").unlink()
    assert "0 of 12 evaluations" in _page(folder).text


def test_results_of_earlier_versions_without_intervals(make_run: MakeRun) -> None:
    folder = make_run()
    result = json.loads((folder / "result.json").read_text())
    for key in ("drop_test_error", "drop_search_error"):
        del result["best"][key]
    (folder / "result.json").write_text(json.dumps(result))
    assert "0.80 are lost on the test images (no interval recorded)" in _page(folder).text


def test_every_goal_of_a_search_is_shown(make_run: MakeRun) -> None:
    folder = make_run()
    assert "allowed to lose" not in _page(folder).text
    result = json.loads((folder / "result.json").read_text())
    milder = {**result["best"], "energy_saved_pct": 12.34, "drop_test": 0.25}
    result["best_by_goal"] = {"1": result["best"], "0.5": milder}
    (folder / "result.json").write_text(json.dumps(result))
    assert f"0.5 points 12.3 % {number(milder['latency_ms'])} ms 0.25 ± 0.78 policy_0.5.json" in _page(folder).text


def test_another_metric_has_its_name_and_unit(make_run: MakeRun) -> None:
    folder = make_run()
    run = json.loads((folder / "run.json").read_text())
    run["metric"] = {"name": "psnr", "label": "PSNR", "unit": "dB"}
    (folder / "run.json").write_text(json.dumps(run))
    page = _page(folder)
    assert "1 dB was allowed" in page.text
    assert "dB lost: 0.80 ± 0.78" in page.text
    assert "top-1" not in page.text.replace("of top-1 Wilson's", "")
    assert "97.20 (" not in page.text  # an interval of shares means nothing here
    chart = json.loads(page.scripts["charts"])["front-chart"]
    assert chart["layout"]["xaxis"]["title"] == {"text": "dB of PSNR lost"}
    assert "dB on 250 images" in chart["data"][0]["text"][0]


def test_names_from_files_are_escaped(make_run: MakeRun) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    folder = make_run(network=evil, data=evil, agent=evil, something_new=evil)
    network = json.loads((folder / "network.json").read_text())
    text = (folder / "network.json").read_text().replace('"conv2"', json.dumps(evil))
    (folder / "network.json").write_text(text)
    policy = (folder / "policy.json").read_text().replace('"conv2"', json.dumps(evil))
    prints = (fingerprint(specs) for specs in (built_in_specs("digits_cnn"), specs_from_json(text, "network.json")))
    (folder / "policy.json").write_text(policy.replace(*prints))
    sensitivity = folder / "sensitivity.csv"
    sensitivity.write_text(sensitivity.read_text().replace("conv2", evil))
    history = folder / "history.jsonl"
    history.write_text(history.read_text().replace('"planner"', json.dumps(evil)))
    assert any(spec["name"] == "conv2" for spec in network)
    html = write_report([folder]).read_text()
    assert "<script>alert" not in html
    assert "<img" not in html
    page = _Page(html)
    assert evil in page.text
    charts = json.loads(page.scripts["charts"])
    assert "<img" not in json.dumps(charts)  # plotly would read it as a tag
    assert "&lt;img" in json.dumps(charts)


def test_several_runs_in_one_page(make_run: MakeRun) -> None:
    runs = [make_run(f"seed{seed}", seed=seed) for seed in range(3)] + [make_run("other", finished=False, agent="td3")]
    page = _page(*runs)
    assert {"overview", "front", "learning", "run-1-layers", "run-4-measured"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert re.search(r"digits_cnn on scalable_sparse_16x32, composite 3 .* ± 0.00 0.80 ± 0.00", page.text)
    charts = json.loads(page.scripts["charts"])
    assert {trace["name"].split(":")[0] for trace in charts["front-chart"]["data"]} == {run.name for run in runs}


def test_a_report_is_written_where_it_is_asked_for(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run()
    assert write_report([folder], tmp_path / "mine.html") == tmp_path / "mine.html"
    assert not (folder / "report.html").exists()
    with pytest.raises(RunError, match=r"cannot write .*; give another file with --out"):
        write_report([folder], tmp_path / "nowhere" / "mine.html")


def test_the_same_run_gives_the_same_report(make_run: MakeRun) -> None:
    folder = make_run()
    assert write_report([folder]).read_text() == write_report([folder]).read_text()


@pytest.mark.parametrize("hardware", hw_models.available())
def test_energy_of_every_accelerator_without_a_search(hardware: str) -> None:
    model, specs = hw_models.load(hardware), built_in_specs("digits_cnn")
    page = _Page(energy_report("digits_cnn", specs, model))
    assert {"headline", "layers", "energy", "hardware"} <= set(page.ids)
    assert model.description.confidence in page.text


def test_energy_of_a_policy_without_a_search() -> None:
    specs = built_in_specs("digits_cnn")
    choices = {spec.name: LayerChoice(weight_bits=4) for spec in specs if spec.compressible}
    page = _Page(energy_report("digits_cnn", specs, hw_models.load("bitfusion_16x32"), choices))
    assert "W4" in page.text
    assert "less than dense 8 bits" in page.text


def _table(layers: Iterable[str]) -> str:
    rows = [f"{name},8,8,{keep},{keep},{2 * keep}\n" for name in layers for keep in (0.5, 1)]
    return "layer,weight_bits,activation_bits,keep_ratio,latency_ms,energy_uj\n" + "".join(rows)


def test_measured_costs_are_shown_whole_and_without_widths_that_were_not_measured(tmp_path: Path) -> None:
    specs = built_in_specs("digits_cnn")
    layers = [spec.name for spec in specs if spec.compressible]
    (tmp_path / "board.csv").write_text(_table(layers))
    choices = dict.fromkeys(layers, LayerChoice(granularity="filter", keep_ratio=0.5))
    page = _Page(energy_report("digits_cnn", specs, hw_models.load(tmp_path / "board.csv"), choices))
    assert f"measured {2 * len(layers)}.0 {len(layers)}" in page.text
    assert "50.0 % less than dense 8 bits" in page.text
    assert "16 bits" not in page.text
    assert "static" not in page.text


def test_a_table_keeps_its_name_in_a_run_folder(make_run: MakeRun) -> None:
    folder = make_run(hardware="tables/board2.csv", finished=False)
    (folder / "hardware.yaml").unlink()
    (folder / "history.jsonl").unlink()
    (folder / "hardware.csv").write_text(
        _table(spec.name for spec in built_in_specs("digits_cnn") if spec.compressible)
    )
    assert "those of the accelerator model board2 measured" in _page(folder).text


@pytest.mark.parametrize("tag", ["estimate", "silicon-fitted", "simulator-matched"])
def test_nothing_is_said_of_where_an_own_description_comes_from(tag: str) -> None:
    model = hw_models.load("npu_int8")
    own = {"name": "own", "source": "my own figures", "confidence": tag}
    page = energy_report(
        "digits_cnn", built_in_specs("digits_cnn"), HardwareModel(model.description.model_copy(update=own))
    )
    assert "publish" not in page
    assert "my own figures" in page


def test_clustered_weights_are_shown_as_such() -> None:
    specs = built_in_specs("digits_cnn")
    choice = LayerChoice(weight_bits=4, weight_quantizer="clustered")
    choices = {spec.name: choice for spec in specs if spec.compressible}
    assert "W4c" in energy_report("digits_cnn", specs, hw_models.load("ethosu55_256"), choices)
    assert in_words(choice) == "dense, W4 clustered A8"


def test_what_is_not_compressed_is_said(make_run: MakeRun) -> None:
    folder = make_run()
    assert "not compressed" not in _page(folder).text
    said = ["costs leave out 'gru'; savings are those of the rest of the network"]
    (folder / "run.json").write_text(
        json.dumps({**json.loads((folder / "run.json").read_text()), "uncompressed": said})
    )
    assert f"not compressed {said[0]}" in _page(folder).text


def test_seeds_are_pooled_where_nothing_else_differs(make_run: MakeRun) -> None:
    first, again = read_run(make_run("a", seed=0)), read_run(make_run("b", seed=0))
    second, other = read_run(make_run("c", seed=1)), read_run(make_run("d", seed=2, repair="t2"))
    assert spreads([first, again]) == []
    assert spreads([first, other]) == []
    (spread,) = spreads([first, again, second, other])
    assert spread.seeds == 2


def test_drops_of_small_units_keep_their_digits(make_run: MakeRun) -> None:
    folder = make_run()
    run = json.loads((folder / "run.json").read_text())
    run["metric"] = {"name": "kl", "label": "KL", "unit": "nats"}
    run["settings"]["max_drop"] = 0.0031
    (folder / "run.json").write_text(json.dumps(run))
    result = json.loads((folder / "result.json").read_text())
    result["best"] |= {"drop_test": 0.00312, "drop_test_error": 0.0004}
    (folder / "result.json").write_text(json.dumps(result))
    assert "say 0.00312 (95 % interval 0.00234 to 0.0039)" in _Page(write_report([folder]).read_text()).text


def test_the_command_again_has_every_setting_or_is_left_out(make_run: MakeRun) -> None:
    settings = {"weights": "w.safetensors", "score_images": 1000, "repair": "t2", "goals": [0.5, 2], "metric": "kl"}
    asked = command(read_run(make_run("a", **settings, clustering=True, round_to=None, weights_sha256="0", seed=3)))
    assert asked.startswith("rlcompress search --network digits_cnn --data digits")
    assert all(part in asked for part in ("--seed 3", "--repair t2", "--goals 0.5,2", "--metric kl", "--clustering"))
    assert "None" not in asked
    assert "sha256" not in asked
    known = {name for option in typer.main.get_command(app).commands["search"].params for name in option.opts}  # type: ignore[attr-defined]
    assert {word for word in asked.split() if word.startswith("--")} <= known
    assert command(read_run(make_run("b", **{**settings, "score_images": 50}))) == ""
    assert command(read_run(make_run("c", score_images=1000))) == "", "handed over in Python"
    defaults = ProblemSettings()
    assert {
        "score_images": defaults.score_images,
        "correction": defaults.correction,
        "agent_settings": {},
    } == LEFT_ALONE
