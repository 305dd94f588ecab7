"""Activation ranges tuned on the network's outputs, for policies that are worth a few thousand forward passes."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from rlcompress.quantization import ActivationQuantizer

_FACTORS = (0.85, 1.2)
_BATCH = 64
_WIDE = 8  # bits at which the range hardly matters

N = TypeVar("N", bound=nn.Module)


@torch.no_grad()
def tune_ranges(network: N, error_of: Callable[[N], float]) -> None:
    """Narrow or widen every activation range below 8 bits where that makes the outputs' error smaller, in place.

    One tensor after the other, each with what was found for those before it (compare the layer-wise step sizes of
    Nahshan et al., "Loss aware post-training quantization", Machine Learning 2021). A range of least error of the
    tensor itself does not know which of its errors the network forgives.

    Args:
        network: the compressed network.
        error_of: the network as it is -> error of its outputs.
    """
    best = error_of(network)
    for quantizer in network.modules():
        if not isinstance(quantizer, ActivationQuantizer) or quantizer.range is None or quantizer.range.bits >= _WIDE:
            continue
        fitted = quantizer.range
        for factor in _FACTORS:
            before = quantizer.range
            quantizer.range = replace(fitted, scale=fitted.scale * factor)
            error = error_of(network)
            if error < best:
                best = error
            else:
                quantizer.range = before


@torch.no_grad()
def output_error(network: nn.Module, target: Tensor, images: Tensor) -> float:
    """Mean squared error of a network's outputs against a target [N, ...] on images [N, C, H, W]."""
    batches = zip(images.split(_BATCH), target.split(_BATCH), strict=True)
    return sum(float((network(x) - y).square().sum()) for x, y in batches) / target.numel()
