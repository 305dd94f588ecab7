"""Activation ranges tuned on the network's outputs, for policies that are worth a few thousand forward passes."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from rlcompress.quantization import ActivationQuantizer

_FACTORS = (0.85, 1.2)
_WIDE = 8  # bits at which the range hardly matters


@torch.no_grad()
def tune_ranges(
    quantizers: Iterable[ActivationQuantizer],
    error: Callable[[], float],
    settled: Callable[[ActivationQuantizer], None] | None = None,
) -> None:
    """Narrow or widen every activation range below 8 bits where that makes the outputs' error smaller, in place.

    One tensor after the other, each with what was found for those before it (compare the layer-wise step sizes of
    Nahshan et al., "Loss aware post-training quantization", Machine Learning 2021). A range of least error of the
    tensor itself does not know which of its errors the network forgives.

    Args:
        quantizers: of the compressed network.
        error: of the network's outputs, with all ranges as they are.
        settled: called with every quantizer once its range will not be changed any more.
    """
    best = error()
    for quantizer in quantizers:
        fitted = quantizer.range
        for factor in _FACTORS:
            if fitted is None or fitted.bits >= _WIDE:
                break
            before, quantizer.range = quantizer.range, replace(fitted, scale=fitted.scale * factor)
            tried = error()
            if tried < best:
                best = tried
            else:
                quantizer.range = before
        if settled is not None:
            settled(quantizer)


@torch.no_grad()
def output_error(outputs: Iterable[Tensor], target: Iterable[Tensor]) -> float:
    """Mean squared error of outputs against a target, batches [N, ...] of both."""
    parts = [(float((y - x).square().sum()), x.numel()) for x, y in zip(outputs, target, strict=True)]
    return sum(error for error, _ in parts) / sum(count for _, count in parts)
