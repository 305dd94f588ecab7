"""Two workers score a batch of 64 candidates as one does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlcompress import hw_models
from rlcompress.data import load_data
from rlcompress.envs import Problem, ProblemSettings
from rlcompress.network.pretrained import pretrained
from rlcompress.searches.folder import RunFolder
from rlcompress.searches.methods.chance import drawn
from tests.conftest import Digits, Real


def history(problem: Problem, out: Path, workers: int, count: int = 64) -> str:
    """What history.jsonl holds after a batch of random policies, some of them twice."""
    problem = problem.fresh()
    problem.workers = workers
    folder = RunFolder(out, {})
    out.mkdir()
    problem.on_outcome = lambda outcome: folder.append(outcome, problem.choices(outcome.choices))
    generator = np.random.default_rng(0)
    policies = [drawn(problem.space, generator) for _ in range(count)]
    outcomes = problem.evaluate_many([*policies, *policies[:3]], "batch")
    problem.close()
    assert outcomes[count:] == outcomes[:3]
    return (out / "history.jsonl").read_text()


@pytest.mark.slow
def test_history_on_digits(digits: Digits, tmp_path: Path) -> None:
    problem = digits.problem(score_images=100)
    one = history(problem, tmp_path / "one", 1)
    assert len(one.splitlines()) == 64
    assert history(problem, tmp_path / "two", 2) == one


@pytest.mark.slow
def test_history_on_resnet20(real: Real, tmp_path: Path) -> None:
    network, card = pretrained("cifar_resnet20", real.weights / "cifar10_resnet20_akamaster.safetensors")
    data = load_data(f"cifar10:{real.cifar}")
    data = replace(data, calibration=data.calibration.part(slice(0, 64)))
    settings = ProblemSettings(granularities=("none", "filter"), min_bits=4, score_images=64)
    problem = Problem.of(network, card, data, hw_models.load("scalable_sparse_16x32"), settings)
    one = history(problem, tmp_path / "one", 1)
    assert history(problem, tmp_path / "two", 2) == one
