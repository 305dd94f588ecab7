"""What is done to the networks of policies that are kept, beyond what every candidate gets."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, fx

from rlcompress.compensation import (
    Moments,
    RoundedLayer,
    learn_rounding,
    match_moments,
    output_error,
    refit_bytes,
    refit_in_sequence,
    tune_ranges,
)
from rlcompress.integer import Stepwise, engine_named, lower
from rlcompress.memory import FLOAT_BYTES, images_at_once
from rlcompress.quantization import ActivationQuantizer

OnStep = Callable[[int, int], None]
"""(steps done, steps in all) -> nothing."""

TUNING_IMAGES = 256
_MOST_BYTES = 128_000_000  # of a stored tensor while ranges are tuned, which leaves fewer images of a large one
_REFIT_BYTES = 300_000_000  # of values between two layers while weights are refitted
_HELD_OUT = 8  # one in so many images is not learned from


@dataclass(frozen=True, eq=False)
class Finisher:
    """Brings compressed networks nearer to the dense one on calibration images.

    Attributes:
        dense: the network, with quantizers that pass everything through.
        images: [N, C, H, W]; ranges are tuned on the first 256 of them at most.
        refitted_to: how many of them weights are refitted to at most.
        moments: layer name -> moments of the dense network's outputs on the first ``matched`` images.
        matched: see there.
    """

    dense: fx.GraphModule
    images: Tensor
    refitted_to: int
    moments: Mapping[str, Moments]
    matched: int

    @torch.no_grad()
    def tuned(self, network: fx.GraphModule) -> fx.GraphModule:
        """A network with its activation ranges tuned on the outputs, which come no farther from the dense ones."""
        judge = self._tuning
        stepwise = Stepwise(network, _batches(judge.images, _code_bytes()))
        tune_ranges(stepwise.quantizers, lambda: judge.error_of(stepwise.outputs()), stepwise.settle)
        return min(network, self._matched(network), key=judge.error)

    def refitted(self, network: fx.GraphModule, layers: Mapping[str, RoundedLayer]) -> fx.GraphModule:
        """A network with its weights fitted once more in sequence, or as it is where that does not help."""
        return self._bettered(
            network, lambda it, images: refit_in_sequence(it, self.dense, layers, images[: self.refitted_to])
        )

    def learned(
        self, network: fx.GraphModule, layers: Mapping[str, RoundedLayer], steps: int, on_step: OnStep | None
    ) -> fx.GraphModule:
        """A network with learned rounding, or as it is where that does not help."""
        return self._bettered(
            network, lambda it, images: learn_rounding(it, self.dense, layers, images, steps, on_step)
        )

    def _bettered(self, network: fx.GraphModule, change: Callable[[fx.GraphModule, Tensor], object]) -> fx.GraphModule:
        """A network after a change, with moments corrected once more or not, or as it is.

        What comes nearest to the dense network on images that the change did not see; those of a set that is too small
        to hold some out serve for both.
        """
        candidate = copy.deepcopy(network)
        change(candidate, self._learning)
        return min(network, candidate, self._matched(candidate), key=self._held_out.error)

    def _matched(self, network: fx.GraphModule) -> fx.GraphModule:
        """A copy with its moments corrected once more."""
        matched = copy.deepcopy(network)
        match_moments(matched, self.moments, self.images[: self.matched].contiguous(memory_format=torch.channels_last))
        return matched

    @cached_property
    def _tuning(self) -> "_Judge":
        return _Judge(self.dense, self.images[: tuning_images(self._largest)])

    @property
    def _learning(self) -> Tensor:
        """Images to learn from: all but those held out."""
        held = torch.arange(len(self.images)) % _HELD_OUT == _HELD_OUT - 1
        return self.images[~held] if held.sum() > 1 else self.images

    @cached_property
    def _held_out(self) -> "_Judge":
        images = self.images[_HELD_OUT - 1 :: _HELD_OUT]
        return _Judge(self.dense, images if len(images) > 1 else self.images)

    @property
    def _largest(self) -> int:
        """Values of the largest stored tensor of an image."""
        calls = self.dense.graph.find_nodes(op="call_module")
        stored = (n for n in calls if isinstance(self.dense.get_submodule(str(n.target)), ActivationQuantizer))
        return max(math.prod(node.meta["shape"][1:]) for node in stored)


class _Judge:
    """Compares compressed networks with the dense one, which runs once.

    Attributes:
        images: [N, C, H, W] to compare on.
    """

    @torch.no_grad()
    def __init__(self, dense: fx.GraphModule, images: Tensor) -> None:
        self.images = images
        self._target = [dense(batch) for batch in _batches(images)]

    def error(self, network: fx.GraphModule) -> float:
        """Mean squared error of what a compressed network gives in integers against the dense network's outputs."""
        return self.error_of(map(lower(network), _batches(self.images, _code_bytes())))

    def error_of(self, outputs: Iterable[Tensor]) -> float:
        """The same of outputs, added up in the target's batches, so that it does not depend on the engine's."""
        parts = (part for batch in outputs for part in batch.split(len(self._target[0])))
        return output_error(parts, self._target)


def refit_images(network: fx.GraphModule, layers: Iterable[str]) -> int:
    """How many images weights are refitted to at most; no memory budget changes it, so that none changes a network."""
    return max(1, _REFIT_BYTES // max(1, refit_bytes(network, layers)))


def finishing_images(refitted_to: int) -> int:
    """How many images final networks are made with where no rounding is learned."""
    return max(TUNING_IMAGES, -(-refitted_to * _HELD_OUT // (_HELD_OUT - 1)))


def tuning_images(values: int) -> int:
    """How many images ranges are tuned on at most, where the largest stored tensor has so many values an image."""
    return max(1, min(TUNING_IMAGES, _MOST_BYTES // values))


def _batches(images: Tensor, size: int = FLOAT_BYTES) -> list[Tensor]:
    batches = images.split(images_at_once(images[0].numel(), size))
    return [batch.contiguous(memory_format=torch.channels_last) for batch in batches]


def _code_bytes() -> int:
    """Of a stored number in the engine that networks are judged by."""
    return engine_named("auto").code_type.itemsize
