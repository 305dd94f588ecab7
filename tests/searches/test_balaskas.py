from pathlib import Path

import pytest
import torch

from rlcompress import hw_models
from rlcompress.candidates import Candidates
from rlcompress.envs import Outcome, ProblemSettings
from rlcompress.searches import Progress, SearchResult, SearchSettings, run_search
from rlcompress.searches.comparison import compare
from rlcompress.searches.methods.balaskas import PRUNERS
from rlcompress.spec import CRITERIA, GRANULARITIES, CompressionPolicy
from tests.conftest import Digits

_HARDWARE = hw_models.load("scalable_sparse_16x32")
_SETTINGS = SearchSettings(
    agent="balaskas2023", evaluations=8, max_drop=100.0, problem=ProblemSettings(score_images=100, min_bits=6)
)


@pytest.fixture(scope="module")
def found(digits: Digits) -> tuple[SearchResult, list[Outcome]]:
    seen: list[Outcome] = []

    def note(progress: Progress) -> None:
        if progress.outcome is not None:
            seen.append(progress.outcome)

    return run_search(digits.network, digits.card, digits.splits, _HARDWARE, _SETTINGS, None, note), seen


def test_every_evaluation_counts_and_names_its_pruning_algorithms(
    found: tuple[SearchResult, list[Outcome]],
) -> None:
    result, seen = found
    assert result.evaluations == len(seen) == 8
    assert {outcome.source for outcome in seen} == {"balaskas2023"}
    pairs = [zip(o.choices.granularity[0], o.choices.criterion[0], strict=True) for o in seen]
    used = {(GRANULARITIES[g], CRITERIA[c]) for row in pairs for g, c in row}
    assert used <= set(PRUNERS)
    assert len(used) >= 4


def test_the_policy_alone_gives_the_same_network_without_repair(
    found: tuple[SearchResult, list[Outcome]], digits: Digits, tmp_path: Path
) -> None:
    result, _ = found
    result.policy.save(tmp_path / "policy.json")
    policy = CompressionPolicy.load(tmp_path / "policy.json")
    assert policy == result.policy
    images = digits.splits.calibration.normalized(slice(None), digits.card.mean, digits.card.std)
    bank = Candidates(digits.network, images, repair=str(policy.metrics["repair"]))
    assert bank.repair == "none"
    assert torch.equal(bank.final(policy.choices)(images), result.bank.final(policy.choices)(images))
    assert torch.equal(bank.final(policy.choices)(images), bank.stitch(policy.choices)(images))


@pytest.mark.slow
def test_a_comparison_keeps_scores_without_repair_apart(digits: Digits, tmp_path: Path) -> None:
    settings = SearchSettings.of({"evaluations": 2, "score_images": 50, "max_drop": 100.0})
    agents = ("uniform", "balaskas2023")
    trials = compare(digits.network, digits.card, digits.splits, _HARDWARE, settings, agents, (0,), tmp_path)
    assert [trial.evaluations for trial in trials] == [2, 2]
    own = (tmp_path / "balaskas2023" / "scores.jsonl").read_text().splitlines()
    assert len(own) == len((tmp_path / "scores.jsonl").read_text().splitlines()) == 2
