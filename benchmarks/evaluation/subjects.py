"""What the bars are measured on, made when first asked for."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from rlcompress.candidates import Candidates
from rlcompress.data import DataSplits, load_data
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import TracedNetwork, trace
from rlcompress.network.weights import build
from rlcompress.planning import ChoiceSpace
from rlcompress.spec import GRANULARITIES, ChoiceBatch, LayerChoice

ROUNDS = 9


@dataclass(frozen=True)
class Subject:
    """A network with its data.

    Attributes:
        network: traced.
        module: as its author wrote it.
        card: its normalisation.
        data: images by purpose.
        batches: that are tried for the best.
        images: that a timing runs over.
    """

    network: TracedNetwork
    module: nn.Module
    card: NetworkCard
    data: DataSplits
    batches: tuple[int, ...]
    images: int

    @cached_property
    def calibration(self) -> Tensor:
        """Normalised images [N, C, H, W]."""
        return self.data.calibration.normalized(slice(None), self.card.mean, self.card.std)

    @cached_property
    def dense(self) -> nn.Module:
        """What times are ratios to: the network as its author wrote it, BatchNorms and all, channels_last."""
        return copy.deepcopy(self.module).eval().to(memory_format=torch.channels_last)

    @cached_property
    def bank(self) -> Candidates:
        """With the defaults."""
        return Candidates(self.network, self.calibration)

    @cached_property
    def local_bank(self) -> Candidates:
        """With the moment correction that runs no image."""
        return Candidates(self.network, self.calibration, correction="local")

    def inputs(self, count: int, first: int = 0) -> Tensor:
        """Normalised search images [N, C, H, W], channels_last."""
        images = self.data.search.normalized(slice(first, first + count), self.card.mean, self.card.std)
        return images.contiguous(memory_format=torch.channels_last)

    def uniform(self, weight_bits: int = 8, activation_bits: int = 8) -> dict[str, LayerChoice]:
        """The same bits in every layer but the first and the last, which keep 8."""
        names = list(self.network.layers)
        inner = LayerChoice(weight_bits=weight_bits, activation_bits=activation_bits)
        return {name: LayerChoice() if name in (names[0], names[-1]) else inner for name in names}

    def random_policies(self, count: int, seed: int = 0) -> list[dict[str, LayerChoice]]:
        """Policies around random mean bits and keep ratios, so that they differ in quality as a search's do."""
        draw, space = np.random.RandomState(seed), ChoiceSpace(self.network.structure)
        layers, element = len(space.layers), GRANULARITIES.index("element")
        policies = []
        for _ in range(count):
            bits, keep = draw.uniform(3.5, 7.5, 2), draw.uniform(0.5, 1.0)
            widths = [np.clip(np.rint(draw.normal(mean, 0.8, (1, layers))), 2, 8).astype(np.int64) for mean in bits]
            ratios = np.clip(np.rint(draw.normal(keep, 0.1, (1, layers)) * 5) / 5, 0.2, 1.0)
            codes = np.where(ratios < 1.0, element, 0)
            policy = space.snapped(ChoiceBatch(codes, ratios, *widths))
            policies.append(policy.choices(0, self.network.structure.layers))
        return policies


class Subjects:
    """The networks whose weights are at hand."""

    def __init__(self, weights: Path, data: str, imagenet: str | None) -> None:
        self._weights, self._data, self._imagenet = weights, data, imagenet

    @property
    def has_imagenet(self) -> bool:
        """Whether MobileNetV2 can be measured."""
        return self._imagenet is not None

    @cache  # noqa: B019  # lives as long as the program
    def get(self, name: str) -> Subject:
        """``resnet20``, ``resnet56`` or ``mobilenet_v2``."""
        big = name == "mobilenet_v2"
        file = "imagenet_mobilenet_v2_1.0_224" if big else f"cifar10_{name}_akamaster"
        module, card = build(name if big else f"cifar_{name}", self._weights / f"{file}.safetensors")
        network = trace(module, torch.zeros(1, *card.input_shape), name=card.name)
        if big:
            return Subject(network, module, card, load_data(f"imagefolder:{self._imagenet}?size=224"), (1, 4, 8), 8)
        return Subject(network, module, card, load_data(self._data), (16, 32, 64, 128), 128)


def seconds(work: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median CPU seconds of each piece of work, interleaved; one thread is all that computes."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            started = time.process_time()
            run()
            times[name].append(time.process_time() - started)
    return {name: median(values) for name, values in times.items()}


@torch.no_grad()
def run_over(network: nn.Module, images: Tensor, batch: int) -> Tensor:
    """Outputs of all images."""
    return torch.cat([network(part) for part in images.split(batch)])
