"""What is done to the networks of policies that are kept, beyond what every candidate gets."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, fx

from rlcompress.candidates.judge import Judge
from rlcompress.compensation import (
    Moments,
    RoundedLayer,
    learn_rounding,
    match_moments,
    refit_bytes,
    refit_in_sequence,
)

OnStep = Callable[[int, int], None]
"""(steps done, steps in all) -> nothing."""

_LEAST_IMAGES = 256
_REFIT_BYTES = 300_000_000  # of values between two layers while weights are refitted
_HELD_OUT = 8  # one in so many images is not learned from


@dataclass(frozen=True, eq=False)
class Finisher:
    """Brings compressed networks nearer to the dense one on calibration images.

    Attributes:
        dense: the network, with quantizers that pass everything through.
        images: [N, C, H, W]; one in eight is held out to judge by.
        refitted_to: how many of them weights are refitted to at most.
        moments: layer name -> moments of the dense network's outputs on the first ``matched`` images.
        matched: see there.
    """

    dense: fx.GraphModule
    images: Tensor
    refitted_to: int
    moments: Mapping[str, Moments]
    matched: int

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

    @property
    def _learning(self) -> Tensor:
        """Images to learn from: all but those held out."""
        held = torch.arange(len(self.images)) % _HELD_OUT == _HELD_OUT - 1
        return self.images[~held] if held.sum() > 1 else self.images

    @cached_property
    def _held_out(self) -> Judge:
        images = self.images[_HELD_OUT - 1 :: _HELD_OUT]
        return Judge(self.dense, images if len(images) > 1 else self.images)


def refit_images(network: fx.GraphModule, layers: Iterable[str]) -> int:
    """How many images weights are refitted to at most; no memory budget changes it, so that none changes a network."""
    return max(1, _REFIT_BYTES // max(1, refit_bytes(network, layers)))


def finishing_images(refitted_to: int) -> int:
    """How many images final networks are made with where no rounding is learned."""
    return max(_LEAST_IMAGES, -(-refitted_to * _HELD_OUT // (_HELD_OUT - 1)))
