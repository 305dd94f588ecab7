"""The command line, driven as a person would drive it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save_file

from rlcompress.network.weights import build
from rlcompress.spec import CompressionPolicy
from tests.conftest import Digits

_ROOT = Path(__file__).parents[2]


def _rlcompress(*arguments: object, status: int = 0, cwd: Path = _ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rlcompress", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=cwd, env=environment)
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


def test_energy_as_csv(tmp_path: Path) -> None:
    out = tmp_path / "energy.csv"
    _rlcompress("energy", "--network", "cifar_resnet20", "--format", "csv", "--out", out)
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
_CIFAR = ("search", "--network", "cifar_resnet20", "--weights", "CIFAR", "--out", "never")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("energy", "--network", "cifar_resnet21"), "unknown network 'cifar_resnet21'"),
        (("energy", "--network", "cifar_resnet20", "--hardware", "abacus"), "abacus"),
        (("energy", "--network", "cifar_resnet20", "--format", "xml"), "unknown format 'xml'"),
        (("energy", "--network", "cifar_resnet20", "--input-shape", "3,32"), "is not C,H,W"),
        (("energy", "--network", "cifar_resnet20", "--policy", "nowhere.json"), "nowhere.json"),
        (("energy", "--network", "cifar_resnet20", "--bits", "9"), "weight_bits must be 2 to 8"),
        (("search", "--network", "digits_cnn", "--data", "digits"), "digits_cnn is not trained; give its weights"),
        (("energy", "--network", "cifar_resnet20", "--input-shape", "3,999999,999999"), "does not fit into memory"),
        ((*_SEARCH, "--max-drop", "-0.5"), "max-drop must be 0 or more"),
        ((*_SEARCH, "--weights", "nowhere.safetensors"), "nowhere.safetensors"),
        ((*_NAMES, "--data", "cifar10:nowhere"), "nowhere"),
        ((*_NAMES, "--data", "mnist"), "unknown data 'mnist'"),
        ((*_CIFAR, "--data", "digits"), "images have shape (1, 8, 8)"),
        ((*_SEARCH, "--agent", "nobody"), "unknown agent 'nobody'"),
        ((*_SEARCH, "--target", "beauty"), "unknown target 'beauty'"),
        ((*_SEARCH, "--granularities", "none,sand"), "unknown granularity 'sand'"),
        ((*_SEARCH, "--min-bits", "1"), "bits must satisfy"),
        ((*_SEARCH, "--resume"), "no run to resume"),
        (("evaluate", "--network", "digits_cnn", "--data", "digits", "--split", "all"), "unknown split 'all'"),
        (("evaluate", "--network", "digits_cnn", "--data", "digits"), "is not trained"),
    ],
)
def test_wrong_input_is_answered_in_one_line(
    arguments: tuple[str, ...], message: str, weights: Path, tmp_path: Path
) -> None:
    save_file(build("cifar_resnet20")[0].state_dict(), tmp_path / "cifar.safetensors")
    files = {"DIGITS": str(weights), "CIFAR": "cifar.safetensors"}
    done = _rlcompress(*(files.get(argument, argument) for argument in arguments), status=2, cwd=tmp_path)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "never").exists()


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


@pytest.mark.slow
def test_an_interrupted_search_says_how_to_go_on_and_does(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["search", "--network", "digits_cnn", "--weights", weights, "--data", "digits", "--out", out]
    arguments += ["--evaluations", "20"]
    command = [sys.executable, "-m", "rlcompress", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=_ROOT) as search:
        history = out / "history.jsonl"
        while search.poll() is None and not (history.exists() and len(history.read_text().splitlines()) >= 3):
            time.sleep(0.05)
        search.send_signal(signal.SIGINT)
        said = search.communicate(timeout=120)[1]
    assert search.returncode == 130
    assert "Traceback" not in said
    assert "--resume" in said.splitlines()[-1]
    kept = history.read_text()
    _rlcompress(*arguments, "--resume")
    assert history.read_text().startswith(kept)
    assert json.loads((out / "result.json").read_text())["evaluations"] == 20
