"""A search with clustered weights, from the setting to the policy, the report and the energy."""

from pathlib import Path

import pytest

from rlcompress import hw_models
from rlcompress.envs import Problem, ProblemSettings
from rlcompress.errors import RlcompressWarning, RunError
from rlcompress.searches import SearchSettings, run_search
from rlcompress.searches.folder import RunFolder
from rlcompress.spec import CompressionPolicy
from tests.conftest import Digits


@pytest.mark.parametrize(
    ("hardware", "min_bits", "message"),
    [
        ("npu_int8", 2, "npu_int8 stores no indices of codebooks; leave out --clustering, or take one that does"),
        ("sparse_skip", 5, "sparse_skip stores indices of at most 4 bits; .* or allow 4 bits by --min-bits"),
    ],
)
def test_refused_where_no_such_indices_are_stored(digits: Digits, hardware: str, min_bits: int, message: str) -> None:
    settings = ProblemSettings(clustering=True, min_bits=min_bits)
    with pytest.raises(RunError, match=message):
        Problem.of(digits.network, digits.card, digits.splits, hw_models.load(hardware), settings)


def test_runs_are_told_apart_by_it_and_old_ones_go_on() -> None:
    assert "clustering" not in SearchSettings.of({}).as_json()
    assert SearchSettings.of({"clustering": True}).as_json()["clustering"] is True
    assert not SearchSettings.of({"clustering": True, "agent": "balaskas2023"}).problem.clustering


@pytest.mark.slow
def test_a_search_ends_with_clustered_weights(digits: Digits, tmp_path: Path) -> None:
    settings = SearchSettings.of(
        {
            "clustering": True,
            "evaluations": 8,
            "agent": "tsdp",
            "score_images": 200,
            "granularities": ("none", "filter"),
        }
    )
    folder = RunFolder(tmp_path / "run", settings.as_json())
    model = hw_models.load("ethosu55_256")
    with pytest.warns(RlcompressWarning) as told:
        result = run_search(digits.network, digits.card, digits.splits, model, settings, folder)
    assert [str(line.message).split(":")[0] for line in told] == [
        "ethosu55_256 computes with activations of 8 bits and more"  # of weights it was meant
    ]
    policy = CompressionPolicy.load(tmp_path / "run" / "policy.json")
    narrow = {name: choice for name, choice in policy if choice.weight_bits <= model.widest_index}
    assert narrow
    assert all(choice.weight_quantizer == "clustered" for choice in narrow.values())
    assert all(choice.weight_quantizer == "uniform" for name, choice in policy if name not in narrow)
    assert result.best.figures.energy_uj == pytest.approx(model.cost(result.bank.network.structure, policy).energy_uj)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "clustered weights, indices: " in page
    assert any(f"W{choice.weight_bits}c" in page for choice in narrow.values())
