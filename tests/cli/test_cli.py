"""The command line, driven as a person would drive it."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save_file

from rlcompress import hw_models
from rlcompress.cli import main
from rlcompress.network.spec_cards import built_in_specs
from rlcompress.network.weights import build
from rlcompress.spec import CompressionPolicy, LayerChoice, specs_to_json
from tests.conftest import Digits

_ROOT = Path(__file__).parents[2]


def _rlcompress(*arguments: object, status: int = 0, cwd: Path = _ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rlcompress", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900, cwd=cwd, env=environment)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def weights(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "digits.safetensors"
    save_file(digits.model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def run(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("search") / "run"
    _rlcompress(
        "search", "--network", "digits_cnn", "--weights", weights, "--data", "digits", "--evaluations", 8, "--out", out
    )
    return out


def test_help_names_every_command() -> None:
    text = _rlcompress("--help").stdout
    assert all(name in text for name in ("demo", "search", "energy", "evaluate", "networks", "hardware"))


def test_help_shows_lists_in_brackets() -> None:
    assert "hardware: [scalable_sparse_16x32, npu_int8]" in _rlcompress("sweep", "--help").stdout


def test_lists() -> None:
    assert "cifar_resnet20" in _rlcompress("networks", "list").stdout
    assert "scalable_sparse_16x32" in _rlcompress("hardware", "list").stdout
    assert "clock_mhz" in _rlcompress("hardware", "show", "scalable_sparse_16x32").stdout


@pytest.mark.slow
def test_a_search_and_its_policy(run: Path, weights: Path) -> None:
    """What search writes, evaluate and energy read, with the same figures."""
    result = json.loads((run / "result.json").read_text())
    shared = ("--network", "digits_cnn", "--policy", run / "policy.json")
    evaluated = _rlcompress("evaluate", *shared, "--weights", weights, "--data", "digits", "--json").stdout
    assert json.loads(evaluated)["metric"] == result["best"]["metric_test"]
    report = json.loads(_rlcompress("energy", *shared, "--format", "json").stdout)
    assert len(report["layers"]) > len(CompressionPolicy.load(run / "policy.json").layers)
    assert sum(layer["total_pj"] for layer in report["layers"]) * 1e-6 == pytest.approx(report["energy_uj"])


@pytest.mark.slow
def test_a_second_search_keeps_out_of_the_folder(run: Path, weights: Path) -> None:
    arguments = ("search", "--network", "digits_cnn", "--weights", weights, "--data", "digits", "--out", run)
    before = (run / "history.jsonl").read_text()
    assert "is not empty" in _rlcompress(*arguments, status=2).stderr
    assert (run / "history.jsonl").read_text() == before


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    done = _rlcompress("demo", "--out", tmp_path / "demo", "--evaluations", 6)
    assert "best policy" in done.stdout
    assert (tmp_path / "demo" / "policy.json").exists()


def _policy(path: Path, digits: Digits) -> Path:
    choices = {
        name: LayerChoice(weight_bits=5, activation_bits=6)
        if spec.coupling is None
        else LayerChoice(granularity="filter", keep_ratio=0.75, weight_bits=4, activation_bits=6)
        for name, spec in digits.network.layers.items()
    }
    CompressionPolicy.of(choices, network=digits.network.reference, hardware="npu_int8").save(path)
    return path


@pytest.mark.slow
def test_exported_files_score_what_the_policy_scores(digits: Digits, weights: Path, tmp_path: Path) -> None:
    network = ("--network", "digits_cnn", "--weights", weights, "--data", "digits")
    policy = ("--policy", _policy(tmp_path / "policy.json", digits))
    wanted = json.loads(_rlcompress("evaluate", *network, *policy, "--json").stdout)
    for _ in range(2):  # what the first has kept is read by the second
        cached = _rlcompress("evaluate", *network, *policy, "--cache", tmp_path / "cache", "--json").stdout
        assert json.loads(cached) == wanted
    for kind in ("safetensors", "onnx"):
        if kind == "onnx":
            pytest.importorskip("onnxruntime", reason="the export extra is not installed")
        out = tmp_path / f"digits.{kind}"
        assert "the same bits" in _rlcompress("export", *network, *policy, "--format", kind, "--out", out).stdout
        scored = json.loads(_rlcompress("evaluate", *network, "--model", out, "--json").stdout)
        assert {**scored, "policy": ""} == {**wanted, "policy": ""}
        alone = json.loads(_rlcompress("evaluate", "--data", "digits", "--model", out, "--json").stdout)
        assert (alone["metric"], alone["network"]) == (wanted["metric"], "digits_cnn")
        assert alone["drop"] is None  # nothing to compare with


def test_two_policies_are_compared(digits: Digits, tmp_path: Path) -> None:
    one, other = _policy(tmp_path / "one.json", digits), tmp_path / "other.json"
    text = one.read_text()
    assert "0 of 6 layers differ" in _rlcompress("policy", "diff", one, one).stdout
    changes = {
        '"weight_bits": 5': '"criterion": "l1", "weight_quantizer": "clustered", "weight_bits": 7',
        "npu_int8": "eyeriss_v1",
        '"round_to": 1': '"round_to": 8',
    }
    for before, after in changes.items():
        text = text.replace(before, after)
    other.write_text(text)
    shown = _rlcompress("policy", "diff", one, other).stdout
    parts = (
        "hardware: npu_int8 -> eyeriss_v1",
        "multiples of: 1 -> 8",
        "linear",
        "W5",
        "by l1 W7 clustered",
        "1 of 6 layers",
    )
    assert all(part in shown for part in parts)
    assert "A6" not in shown
    assert "nowhere.json" in _rlcompress("policy", "diff", one, "nowhere.json", status=2).stderr
    (tmp_path / "x[b]").mkdir()
    other.replace(tmp_path / "x[b]" / "o.json")
    assert "x[b]/o.json" in _rlcompress("policy", "diff", "one.json", "x[b]/o.json", cwd=tmp_path).stdout


def test_costs_of_a_policy_count_the_zeros_that_its_search_has_seen(digits: Digits, tmp_path: Path) -> None:
    (tmp_path / "front").mkdir()
    policy = _policy(tmp_path / "front" / "one.json", digits)
    asked = ("energy", "--network", "digits_cnn", "--policy", policy, "--hardware", "sparse_skip", "--format", "json")
    without = _rlcompress(*asked)
    assert "sparse_skip saves energy by zeros among a layer's inputs, and none are counted" in without.stderr
    specs = digits.network.with_densities(dict.fromkeys(digits.network.layers, 0.5)).specs
    (tmp_path / "network.json").write_text(specs_to_json(specs))
    counted = _rlcompress(*asked)
    assert "zeros" not in counted.stderr
    model, choices = hw_models.load("sparse_skip"), CompressionPolicy.load(policy).choices
    assert json.loads(counted.stdout)["energy_uj"] == model.cost(specs, choices).energy_uj
    assert json.loads(without.stdout)["energy_uj"] == model.cost(digits.network.specs, choices).energy_uj
    (tmp_path / "network.json").write_text("{}")
    assert _rlcompress(*asked).stdout == without.stdout


def test_energies_relative_to_a_multiplication_say_so() -> None:
    asked = ("energy", "--network", "digits_cnn", "--hardware", "eyeriss_relative")
    assert "M MAC" in " ".join(_rlcompress(*asked).stdout.split())
    assert json.loads(_rlcompress(*asked, "--format", "json").stdout)["energy_unit"] == "M MAC"


_OWN = """
from torch import nn
net = lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""


@pytest.mark.slow
def test_a_network_of_ones_own_is_searched_and_exported(tmp_path: Path) -> None:
    (tmp_path / "mynet.py").write_text(_OWN)
    network = ("--network", "mynet.py:net", "--data", "digits", "--mean", "0.3", "--std", "0.38")
    for name in (("mynet.py:net", "--input-shape", "1,8,8"), ("mynet:net", "--input-shape", "1,8,8")):
        assert "0 " in _rlcompress("energy", "--network", *name, cwd=tmp_path).stdout
    _rlcompress("search", *network, "--evaluations", 4, "--max-drop", 50, "--out", "run", cwd=tmp_path)
    _rlcompress(
        "export", *network, "--policy", "run/policy.json", "--format", "safetensors", "--out", "my.safetensors",
        cwd=tmp_path,
    )  # fmt: skip
    shown = _rlcompress("evaluate", "--model", "my.safetensors", "--data", "digits", cwd=tmp_path).stdout
    assert "top-1" in shown
    assert "lost" not in shown


def test_energy_as_csv(tmp_path: Path) -> None:
    out = tmp_path / "energy.csv"
    said = _rlcompress("energy", "--network", "cifar_resnet20", "--format", "csv", "--out", out).stdout
    assert said == f"csv: {out}\n"
    lines = out.read_text().splitlines()
    assert lines[0].startswith("name,kind,shape")
    assert lines[1].startswith("conv1,conv,16x3x32x32x3x3")


def test_energy_at_another_input_shape() -> None:
    sizes = [
        json.loads(_rlcompress("energy", "--network", "cifar_resnet20", "--format", "json", *shape).stdout)["macs"]
        for shape in ((), ("--input-shape", "3,64,64"))
    ]
    assert sizes[1] == pytest.approx(4 * sizes[0], rel=0.01)


_NAMES = ("search", "--network", "digits_cnn", "--weights", "DIGITS", "--out", "never")
_SEARCH = (*_NAMES, "--data", "digits")
_EXPORT = ("export", "--network", "digits_cnn", "--weights", "DIGITS", "--data", "digits", "--policy", "p.json")
_CIFAR = ("search", "--network", "cifar_resnet20", "--weights", "CIFAR", "--out", "never")


_WRONG = [
    (("energy", "--network", "cifar_resnet21"), "unknown network 'cifar_resnet21'"),
    (("energy", "--network", "cifar_resnet20", "--hardware", "abacus"), "abacus"),
    (("energy", "--network", "cifar_resnet20", "--format", "xml"), "unknown format 'xml'"),
    (("energy", "--network", "cifar_resnet20", "--input-shape", "3,32"), "is not C,H,W"),
    (("energy", "--network", "cifar_resnet20", "--policy", "nowhere.json"), "nowhere.json"),
    (("energy", "--network", "cifar_resnet20", "--input-shape", "3,\u00b2,32"), "is not C,H,W"),
    (("energy", "--network", "cifar_resnet20", "--bits", "9"), "weight_bits must be 2 to 8"),
    (("search", "--network", "digits_cnn", "--data", "digits"), "digits_cnn is not trained; give its weights"),
    (("energy", "--network", "cifar_resnet20", "--input-shape", "3,999999,999999"), "does not fit into memory"),
    ((*_SEARCH, "--max-drop", "-0.5"), "max-drop must be 0 or more"),
    ((*_SEARCH, "--metric", "kl"), "a drop of 1 nats allows everything"),
    ((*_SEARCH, "--repair", "t9"), "unknown repair 't9'; choose from t0, t1, t2"),
    ((*_SEARCH, "--weights", "nowhere.safetensors"), "nowhere.safetensors"),
    ((*_NAMES, "--data", "cifar10:nowhere"), "nowhere"),
    ((*_NAMES, "--data", "mnist"), "unknown data 'mnist'"),
    ((*_CIFAR, "--data", "digits"), "images have shape (1, 8, 8)"),
    ((*_SEARCH, "--agent", "nobody"), "unknown agent 'nobody'"),
    ((*_SEARCH, "--agent", "dp", "--cold"), "--cold is for composite, nsga2 and tpe; leave it out for 'dp'"),
    ((*_SEARCH, "--target", "beauty"), "unknown target 'beauty'"),
    ((*_SEARCH, "--granularities", "none,sand"), "unknown granularity 'sand'"),
    ((*_SEARCH, "--min-bits", "1"), "bits must satisfy"),
    ((*_SEARCH, "--end-bits", "9"), "least bits of the first and the last layer must be 2 to 8, got 9"),
    ((*_SEARCH, "--memory", "much"), "memory must be a size like 4G or 600M, got 'much'"),
    ((*_SEARCH, "--memory", "100M"), "memory 100M is too small for digits_cnn at 1x8x8; give at least"),
    ((*_SEARCH, "--clustering"), "scalable_sparse_16x32 stores no indices of codebooks; leave out --clustering"),
    ((*_SEARCH, "--resume"), "no run to resume"),
    (("evaluate", "--network", "digits_cnn", "--data", "digits", "--split", "all"), "unknown split 'all'"),
    (("evaluate", "--network", "digits_cnn", "--data", "digits"), "is not trained"),
    (
        (*_EXPORT, "--format", "tflite", "--out", "x"),
        "unknown format 'tflite'; choose from onnx, safetensors, torch",
    ),
    ((*_EXPORT, "--out", "no/folder/x"), "there is no folder no/folder"),
    (("evaluate", "--data", "digits"), "nothing to evaluate; give --network, or an exported file with --model"),
    (("evaluate", "--data", "digits", "--model", "nowhere.onnx"), "there is no such file"),
    (("search", "--network", "nowhere.py:net", "--data", "digits", "--out", "never"), "there is no file nowhere"),
    (("energy", "--network", "nowhere:three:"), "network 'nowhere:three:'"),
    (("compare", *_SEARCH[1:], "--agents", "nosuch"), "unknown agent 'nosuch'"),
    (("compare", *_SEARCH[1:], "--seeds", "0,-1"), "seed must be from 0"),
]


@pytest.mark.parametrize(("arguments", "message"), _WRONG)
def test_wrong_input_is_answered_in_one_line(
    arguments: tuple[str, ...],
    message: str,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_file(build("cifar_resnet20")[0].state_dict(), tmp_path / "cifar.safetensors")
    files = {"DIGITS": str(weights), "CIFAR": "cifar.safetensors"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["rlcompress", *(files.get(argument, argument) for argument in arguments)])
    monkeypatch.setattr("rlcompress.cli.app.end_as_ctrl_c", lambda: None)
    with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "never").exists()


def test_wrong_input_ends_the_process_with_status_2() -> None:
    done = _rlcompress("energy", "--network", "cifar_resnet21", status=2)
    assert done.stderr.startswith("error: unknown network 'cifar_resnet21'")
    assert len(done.stderr.strip().splitlines()) == 1


def test_energy_for_timeloop_and_for_several_accelerators() -> None:
    document = yaml.safe_load(_rlcompress("energy", "--network", "digits_cnn", "--format", "timeloop").stdout)
    assert {"architecture", "problems"} == set(document)
    shared = ("energy", "--network", "cifar_resnet20", "--format", "json", "--devices")
    one, two = (json.loads(_rlcompress(*shared, count).stdout) for count in (1, 2))
    assert two["latency_ms"] < one["latency_ms"]
    assert two["energy_uj"] > one["energy_uj"]


def test_a_description_is_checked(tmp_path: Path) -> None:
    text = _rlcompress("hardware", "show", "npu_int8").stdout
    good, bad = tmp_path / "mine.yaml", tmp_path / "bad.yaml"
    good.write_text(text)
    bad.write_text(text.replace("clock_mhz", "clock_ghz"))
    assert "is valid" in _rlcompress("hardware", "check", good).stdout
    message = _rlcompress("hardware", "check", bad, status=2).stderr
    assert "bad.yaml" in message
    assert "clock" in message
    assert len(message.strip().splitlines()) == 1


@pytest.fixture
def interrupts_heeded() -> Iterator[None]:
    """Shells turn SIGINT off for what runs in the background, and its children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("interrupts_heeded")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_says_how_to_go_on_and_does(weights: Path, tmp_path: Path, number: int) -> None:
    out = tmp_path / "run"
    arguments = ["search", "--network", "digits_cnn", "--weights", weights, "--data", "digits", "--out", out]
    arguments += ["--evaluations", "20"]
    command = [sys.executable, "-m", "rlcompress", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=_ROOT) as search:
        history = out / "history.jsonl"
        while search.poll() is None and not (history.exists() and len(history.read_text().splitlines()) >= 3):
            time.sleep(0.05)
        search.send_signal(number)
        said = search.communicate(timeout=120)[1]
    assert search.returncode == 130
    assert "Traceback" not in said
    assert "--resume" in said.splitlines()[-1]
    kept = history.read_text()
    _rlcompress(*arguments, "--resume")
    assert history.read_text().startswith(kept)
    assert json.loads((out / "result.json").read_text())["evaluations"] == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "--bogus"), "No such option: --bogus"),
        (("search",), "Missing option '--network'; see `rlcompress search --help`"),
        (("energy", "--network", "digits_cnn", "--bits", "many"), "Invalid value for '--bits'"),
        (("nonsense",), "No such command 'nonsense'; see `rlcompress --help`"),
        (("report",), "Missing argument"),
        (("report", "."), "holds no run.json"),
    ],
)
def test_wrong_usage_is_answered_in_one_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = _rlcompress(*arguments, status=2, cwd=tmp_path)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "command", ["demo", "search", "compare", "energy", "evaluate", "report", "networks list", "hardware check"]
)
def test_help_has_an_example(command: str) -> None:
    assert f"rlcompress {command} " in " ".join(_rlcompress(*command.split(), "--help").stdout.split())


def test_commands_with_sub_commands_show_their_help() -> None:
    assert "list" in _rlcompress("networks", status=2).stdout


def test_completion_is_written() -> None:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "_RLCOMPRESS_COMPLETE": "source_bash"}
    script = Path(sys.executable).with_name("rlcompress")
    done = subprocess.run([script], capture_output=True, text=True, check=False, env=environment)
    assert "_RLCOMPRESS_COMPLETE=complete_bash" in done.stdout


@pytest.mark.slow
def test_quiet_and_json(weights: Path, tmp_path: Path) -> None:
    shared = ("search", "--network", "digits_cnn", "--weights", weights, "--data", "digits", "--quiet")
    shared += ("--evaluations", "6")
    first = _rlcompress(*shared, "--out", tmp_path / "first")
    assert (first.stdout, first.stderr) == ("", "")
    second = _rlcompress(*shared, "--json", "--out", tmp_path / "second")
    assert json.loads(second.stdout)["best"] == json.loads((tmp_path / "second" / "result.json").read_text())["best"]
    assert "test images of digits were looked at by run 'first' already" in second.stderr


@pytest.mark.slow
def test_compare_takes_what_search_takes(weights: Path, tmp_path: Path) -> None:
    shared = ("compare", "--network", "digits_cnn", "--weights", weights, "--data", "digits", "--evaluations", "4")
    shared += ("--agents", "tpe,uniform", "--cold", "--seeds", "0", "--score-images", "100", "--out", tmp_path / "c")
    done = _rlcompress(*shared, "--workers", "2", "--memory", "4G", "--quiet", "--json")
    assert done.stderr == ""
    assert {row["agent"] for row in json.loads(done.stdout)["rows"]} == {"tpe-cold", "uniform"}
    again = _rlcompress(*shared, "--memory", "4G", "--quiet", "--resume")
    assert (again.stdout, again.stderr) == ("", "")


@pytest.mark.slow
def test_a_report_again_and_the_command_in_it(run: Path) -> None:
    (run / "report.html").unlink()
    assert str(run / "report.html") in _rlcompress("report", run).stdout
    assert "rlcompress search --network digits_cnn --weights" in (run / "report.html").read_text()


@pytest.mark.slow
def test_the_energy_of_a_policy_for_an_accelerator_of_ones_own(run: Path, tmp_path: Path) -> None:
    text = _rlcompress("hardware", "show", "scalable_sparse_16x32").stdout.replace("scalable_sparse_16x32", "mine")
    policy = json.loads((run / "policy.json").read_text()) | {"hardware": "mine"}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    shared = ("energy", "--network", "digits_cnn", "--policy", tmp_path / "policy.json", "--format", "json")
    assert "'mine', an accelerator of your own; give it with --hardware" in _rlcompress(*shared, status=2).stderr
    (tmp_path / "hardware.yaml").write_text(text)
    beside = json.loads(_rlcompress(*shared).stdout)
    assert beside == json.loads(_rlcompress(*shared, "--hardware", tmp_path / "hardware.yaml").stdout)


def test_an_energy_report(tmp_path: Path) -> None:
    out = tmp_path / "energy.html"
    _rlcompress("energy", "--network", "digits_cnn", "--out", out)
    assert "digits_cnn on scalable_sparse_16x32" in out.read_text()


def test_fixed_widths_are_told_with_the_energy() -> None:
    shared = ("energy", "--network", "digits_cnn", "--hardware", "npu_int8", "--bits")
    assert "warning: npu_int8 computes with weights of 8 bits" in _rlcompress(*shared, "4").stderr
    assert _rlcompress(*shared, "8").stderr == ""


def test_measured_costs_are_shown_as_far_as_they_are_known(tmp_path: Path) -> None:
    rows = [f"{spec.name},8,8,1,1,1\n" for spec in built_in_specs("digits_cnn") if spec.compressible]
    (tmp_path / "board.csv").write_text(
        "layer,weight_bits,activation_bits,keep_ratio,latency_ms,energy_uj\n" + "".join(rows)
    )
    shared = ("energy", "--network", "digits_cnn", "--hardware", tmp_path / "board.csv", "--bits")
    shown = _rlcompress(*shared, "8").stdout
    assert "n/a" in shown
    assert "static" not in shown
    assert "warning: board was measured with weights of 8 bits and more" in _rlcompress(*shared, "4").stderr
