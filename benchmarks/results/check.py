"""Recomputing rows of the CSV file from the policies in it."""

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.results.plan import Cell
from benchmarks.results.policies import from_text
from benchmarks.results.rows import Row, baseline_figures, cost_figures, digits
from benchmarks.results.subjects import NETWORKS
from rlcompress.candidates import Candidates, calibration_images
from rlcompress.data import load_data
from rlcompress.errors import PolicyError
from rlcompress.evaluation import Evaluator
from rlcompress.hw_models import load as load_hardware
from rlcompress.integer import lower
from rlcompress.network.pretrained import pretrained
from rlcompress.report.costs import Costs
from rlcompress.threads import one_thread

COST_TOLERANCE = 1e-4  # relative: densities of activations come from floating-point forwards


def drawn(rows: Sequence[Row], cells: Sequence[Cell], count: int, seed: int) -> list[Row]:
    """Rows drawn by chance among those of some searches that hold a policy."""
    allowed = set(cells)
    found = [row for row in rows if row.policy and row.cell in allowed]
    return random.Random(seed).sample(found, min(count, len(found)))


@one_thread()
@torch.no_grad()
def recomputed(row: Row, weights: Path, data: Path) -> Row:
    """The same row with every figure that follows from its policy computed anew: costs, metric and drop on test images.

    Raises:
        PolicyError: the policy is not of this network.
        RlcompressError: images, weights or hardware cannot be loaded.
    """
    subject = NETWORKS[row.network].subject(weights, data)
    splits, hardware = load_data(subject.data), load_hardware(row.hardware)
    network, card = pretrained(subject.network, subject.weights)
    network = network.with_round_to(hardware.description.round_to)
    words = from_text(row.policy)
    if len(words) != len(network.structure.layers):
        raise PolicyError(f"{row.network} has {len(network.structure.layers)} layers, its policy {len(words)}")
    choices = dict(zip(network.structure.layers, words, strict=True))
    images = calibration_images(
        network, row.repair, card, lambda: splits.calibration.normalized(slice(None), card.mean, card.std)
    )
    further = partial(splits.learning, card.mean, card.std)
    bank = Candidates(network, images, learning=further, repair=row.repair)
    specs = network.with_densities(bank.densities).specs
    evaluator = Evaluator(network.graph, splits.test, card)
    score = evaluator.score(lower(bank.final(choices)))
    figures = {
        **baseline_figures(Costs.of(specs, hardware)),
        **cost_figures(hardware.cost(specs, choices)),
        "metric_test": evaluator.dense.metric,
        "drop_test": score.drop,
    }
    return row.model_copy(update={key: digits(value) for key, value in figures.items()})


def differences(row: Row, again: Row) -> list[str]:
    """Figures that do not come out again: costs to a relative 1e-4, metrics to a standard error of the drop.

    On the machine that wrote the file every digit comes out; elsewhere floating-point sums of the calibration round
    otherwise, and with them some codes of weights.
    """
    said = []
    for key in type(row).model_fields:
        before, now = getattr(row, key), getattr(again, key)
        if before == now:
            continue
        metric = key in ("metric_test", "drop_test")
        tolerance = (row.drop_test_error or 0.0) if metric else COST_TOLERANCE * abs(before)
        if abs(now - before) > tolerance:
            said.append(f"{key} {before}, now {now}")
    return said
