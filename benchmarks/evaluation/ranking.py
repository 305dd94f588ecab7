"""Bars of what a score tells: ranking, the best of 64, the moment correction."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from benchmarks.evaluation.subjects import Subject
from rlcompress.candidates.template import quantizer_name
from rlcompress.compensation import Moments, match_moments, output_moments
from rlcompress.evaluation import Evaluator
from rlcompress.integer import lower
from rlcompress.network.layers import weighted
from rlcompress.quantization import keep_codes

CANDIDATES = 64
FEW, BEST = 256, 250
POOL, HELD_OUT = slice(0, 1000), slice(1000, 10_000)  # of 3,000 held out the best of 64 is mostly a lucky one


@cache
def scored(subject: Subject) -> dict[str, NDArray[np.float64]]:
    """Of 64 random policies: clipped KL of each on 1,000 search images by correction, and top-1 on 9,000 others."""
    policies = subject.random_policies(CANDIDATES)
    pool, held_out = evaluator(subject, POOL), evaluator(subject, HELD_OUT)
    figures: dict[str, NDArray[np.float64]] = {}
    for correction, bank in {"local": subject.local_bank, "paired": subject.bank}.items():
        networks = [lower(bank.stitch(policy)) for policy in policies]
        figures[correction] = np.stack([pool.per_image(network).error.numpy() for network in networks])
    figures["metric"] = np.array([held_out.score(network).metric for network in networks])
    return figures


def evaluator(subject: Subject, images: slice) -> Evaluator:
    """Of some search images."""
    return Evaluator(subject.network.graph, subject.data.search.part(images), subject.card)


def spearman(correction: str) -> Callable[[Subject], float]:
    """Rank correlation of KL on 256 images with the held-out top-1 of the candidates with paired correction."""
    return lambda subject: with_metric(subject, scored(subject)[correction][:, :FEW].mean(1))


def with_metric(subject: Subject, judged: NDArray[np.float64]) -> float:
    """Rank correlation of what is less for better candidates with their held-out top-1."""
    return float(np.corrcoef(ranks(-judged), ranks(scored(subject)["metric"]))[0, 1])


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks, the mean of them where values are equal."""
    distinct, position = np.unique(values, return_inverse=True)
    ends = np.cumsum(np.bincount(position, minlength=len(distinct)))
    starts = np.concatenate([[0], ends[:-1]])
    middle: NDArray[np.float64] = (starts + ends - 1) / 2.0
    return middle[position]


def regret(correction: str) -> Callable[[Subject], float]:
    """Points of held-out top-1 between the best of 64 and the one of least KL on 250 images."""
    return lambda subject: lost(subject, int(scored(subject)[correction][:, :BEST].mean(1).argmin()))


def lost(subject: Subject, chosen: int) -> float:
    """Points of held-out top-1 between the best of 64 and another one."""
    metric = scored(subject)["metric"]
    return float(metric.max() - metric[chosen])


@dataclass(frozen=True)
class CorrectionGain:
    """Points of top-1 that the paired correction by 32 images has over statistics estimated anew on 1,000.

    Attributes:
        weight_bits: of all layers but the first and the last.
        activation_bits: of the same.
    """

    weight_bits: int
    activation_bits: int

    def __call__(self, subject: Subject) -> float:
        """On 9,000 search images; the bar counts points of test images, of which training images lose fewer."""
        held_out = evaluator(subject, HELD_OUT)
        anew, paired = (uncorrected(subject, self.weight_bits, self.activation_bits) for _ in range(2))
        few = subject.calibration[:32]
        match_moments(anew, trained_moments(subject), subject.calibration)
        match_moments(paired, output_moments(subject.bank.template(), subject.network.layers, few), few)
        return held_out.score(lower(paired)).metric - held_out.score(lower(anew)).metric


def trained_moments(subject: Subject) -> dict[str, Moments]:
    """Moments that BatchNorm gives its outputs by its own parameters; layer names are those of CIFAR ResNets."""
    modules = dict(subject.module.named_modules())
    norms = {name: modules[name.replace("conv", "bn")] for name in subject.network.layers if "conv" in name}
    return {name: Moments(norm.bias.detach(), norm.weight.detach().abs()) for name, norm in norms.items()}


@torch.no_grad()
def uncorrected(subject: Subject, weight_bits: int, activation_bits: int) -> fx.GraphModule:
    """The candidate as the bank gives it, without moments corrected."""
    bank, choices = subject.bank, subject.uniform(weight_bits, activation_bits)
    network = bank.template()
    for name, choice in choices.items():
        layer, weight = weighted(network, name), bank.weights(name, choices)
        layer.weight.copy_(weight.dequantized())
        keep_codes(layer, weight)
        quantizer = network.get_submodule(quantizer_name(bank.network.reads[name]))
        quantizer.range = bank.range(name, choice.activation_bits)  # type: ignore[assignment]
    return network
