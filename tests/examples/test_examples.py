import os
import subprocess
import sys
from pathlib import Path

import pytest

_EXAMPLES = Path(__file__).parents[2] / "examples"


def _output(name: str, folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(_EXAMPLES.parent)}
    command = [sys.executable, "-W", "error", str(_EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_own_hardware(tmp_path: Path) -> None:
    lines = _output("own_hardware", tmp_path).splitlines()
    dense, four = (float(line.split(": ")[1].split()[0]) for line in lines)
    assert four < dense
    assert "my_npu" in (tmp_path / "my_npu.html").read_text()


@pytest.mark.slow
def test_own_network(tmp_path: Path) -> None:
    assert "of the energy saved" in _output("own_network", tmp_path, "12")
    assert (tmp_path / "policy.json").exists()


@pytest.mark.slow
def test_own_metric(tmp_path: Path) -> None:
    assert "confidence: " in _output("own_metric", tmp_path, "12")


@pytest.mark.slow
def test_train_agent(tmp_path: Path) -> None:
    assert "of the energy saved" in _output("train_agent", tmp_path, "12")
    assert (tmp_path / "large" / "run" / "agent.safetensors").exists()


@pytest.mark.slow
def test_export_policy(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert "the same outputs: True" in _output("export_policy", tmp_path, "12")


def test_energy_report(tmp_path: Path) -> None:
    lines = _output("energy_report", tmp_path).splitlines()
    assert [line.split(":")[0] for line in lines][:2] == ["scalable_sparse_16x32", "bitfusion_16x32"]
    assert all(float(line.split(": ")[1].split()[0]) > 0.0 for line in lines)
    assert "npu_int8" in (tmp_path / "small.html").read_text()


def test_every_example_is_tested() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in _EXAMPLES.glob("*.py")} == tested - {"every_example_is_tested"}
