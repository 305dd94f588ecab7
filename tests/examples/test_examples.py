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
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
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


def test_every_example_is_tested() -> None:
    assert {path.stem for path in _EXAMPLES.glob("*.py")} == {"own_hardware", "own_network", "own_metric"}
