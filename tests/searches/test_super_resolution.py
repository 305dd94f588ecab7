"""VDSR on Set5, from the pictures to the policy, through the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rlcompress.cli.app import app
from tests.conftest import Real


@pytest.mark.slow
def test_a_policy_for_vdsr_is_found_and_measured(real: Real, tmp_path: Path) -> None:
    data = f"set5:{real.set5}?scale=2&train={real.imagenet / 'train'}&crops=16&size=25"
    network = ["--network", "vdsr", "--weights", str(real.weights / "sr_vdsr.safetensors"), "--data", data]
    run = tmp_path / "run"
    arguments = ["search", *network, "--max-drop", "1.0", "--evaluations", "3", "--agent", "tsdp", "--out", str(run)]
    searched = CliRunner().invoke(app, [*arguments, "--granularities", "none"])
    assert searched.exit_code == 0, searched.output
    result = json.loads((run / "result.json").read_text())
    assert (result["metric"], result["metric_unit"]) == ("psnr", "dB")
    assert result["baseline"]["metric_test"] == pytest.approx(37.56, abs=0.005)
    best = result["best"]
    assert best["energy_saved_pct"] > 0.0
    assert best["drop_search"] <= 1.0
    assert best["images_test"] == 5
    evaluated = CliRunner().invoke(app, ["evaluate", *network, "--policy", str(run / "policy.json"), "--json"])
    assert evaluated.exit_code == 0, evaluated.output
    assert json.loads(evaluated.stdout)["metric"] == best["metric_test"]
