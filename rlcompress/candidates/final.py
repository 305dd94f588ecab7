"""What is done to the networks of policies that are kept, beyond what every candidate gets."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from rlcompress.compensation import Moments, RoundedLayer, learn_rounding, match_moments, output_error, tune_ranges
from rlcompress.integer import lower

OnStep = Callable[[int, int], None]
"""(steps done, steps in all) -> nothing."""

TUNING_IMAGES = 256
_BATCH = 64
_HELD_OUT = 8  # one in so many images is not learned from
_LEARNING_STEPS = 400


@dataclass(frozen=True, eq=False)
class Finisher:
    """Brings compressed networks nearer to the dense one on calibration images.

    Attributes:
        dense: the network, with quantizers that pass everything through.
        images: [N, C, H, W]; ranges are tuned on the first 256 of them.
        moments: layer name -> moments of the dense network's outputs on the first ``matched`` images.
        matched: see there.
    """

    dense: fx.GraphModule
    images: Tensor
    moments: Mapping[str, Moments]
    matched: int

    @torch.no_grad()
    def tuned(self, network: fx.GraphModule) -> fx.GraphModule:
        """A network with its activation ranges tuned on the outputs, which come no farther from the dense ones."""
        error_of = self._error(self.images[:TUNING_IMAGES].contiguous(memory_format=torch.channels_last))
        tune_ranges(network, error_of)
        return min(network, self._matched(network), key=error_of)

    def learned(
        self, network: fx.GraphModule, layers: Mapping[str, RoundedLayer], on_step: OnStep | None
    ) -> fx.GraphModule:
        """A network with learned rounding, or as it is where that does not help on images that were not learned from.

        Images of a set that is too small to hold some out serve for both.
        """
        held = torch.arange(len(self.images)) % _HELD_OUT == _HELD_OUT - 1
        learning, judging = (self.images[~held], self.images[held]) if held.sum() > 1 else (self.images, self.images)
        candidate = copy.deepcopy(network)
        learn_rounding(candidate, self.dense, layers, learning, _LEARNING_STEPS, on_step)
        return min(network, candidate, self._matched(candidate), key=self._error(judging))

    def _matched(self, network: fx.GraphModule) -> fx.GraphModule:
        """A copy with its moments corrected once more."""
        matched = copy.deepcopy(network)
        match_moments(matched, self.moments, self.images[: self.matched].contiguous(memory_format=torch.channels_last))
        return matched

    @torch.no_grad()
    def _error(self, images: Tensor) -> Callable[[fx.GraphModule], float]:
        """Compressed network -> mean squared error of what it gives in integers against the dense network's outputs."""
        target = torch.cat([self.dense(batch) for batch in images.split(_BATCH)])
        return lambda network: output_error(lower(network), target, images)
