"""Symmetric per-channel weight quantization with scales of least squared error."""

from dataclasses import dataclass

import torch
from torch import Tensor

_SHRINK = torch.linspace(0.35, 1.0, 40).tolist()  # clipping range as a share of the largest magnitude


@dataclass(frozen=True, slots=True)
class QuantizedWeight:
    """Integer codes and scales of one layer's weight.

    Attributes:
        codes: [K, ...] in [-(2^(b-1) - 1), 2^(b-1) - 1] (2 bits are ternary); int8, or int16 above 8 bits.
        scale: [K] float32, positive.
    """

    codes: Tensor
    scale: Tensor

    def dequantized(self) -> Tensor:
        """The weight that the codes stand for, float32 [K, ...]."""
        return self.codes * _column(self.scale, self.codes)


def quantize_weight(weight: Tensor, bits: int) -> QuantizedWeight:
    """Round a weight to the nearest codes under the scale of least squared error of each output channel.

    The scale is the best of a grid of clipping ranges, then refitted to its codes in closed form
    (s = <w, q> / <q, q>).

    Args:
        weight: [K, ...] float32. Removed weights are zero and stay zero.
        bits: 2 to 16.
    """
    limit = 2 ** (bits - 1) - 1
    largest = weight.flatten(1).abs().amax(1).clamp_min(torch.finfo(weight.dtype).tiny)
    best_error = torch.full_like(largest, torch.inf)
    best_scale = largest / limit
    for shrink in _SHRINK:
        scale = largest * shrink / limit
        codes = _codes(weight, scale, limit)
        error = (codes * _column(scale, weight) - weight).square().flatten(1).sum(1)
        best_scale = torch.where(error < best_error, scale, best_scale)
        best_error = torch.minimum(error, best_error)
    codes = _codes(weight, best_scale, limit)
    return QuantizedWeight(codes.to(torch.int8 if bits <= 8 else torch.int16), _refitted(weight, codes, best_scale))


def _codes(weight: Tensor, scale: Tensor, limit: int) -> Tensor:
    return (weight / _column(scale, weight)).round_().clamp_(-limit, limit)


def _refitted(weight: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    power = codes.flatten(1).square().sum(1)
    fitted = (weight * codes).flatten(1).sum(1) / power.clamp_min(1.0)
    return torch.where((power > 0) & (fitted > 0), fitted, scale)


def _column(per_channel: Tensor, like: Tensor) -> Tensor:
    """[K] -> [K, 1, ...] with as many dimensions as ``like``."""
    return per_channel.view(-1, *[1] * (like.dim() - 1))
