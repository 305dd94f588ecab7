"""Symmetric per-channel weight quantization with scales of least squared error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Rounding = Callable[[Tensor], Tensor]
"""Replaces weights over their scales [Q, ...] by the nearest codes of each of Q quantizers, in place; gives them."""

_SHRINK = torch.linspace(0.35, 1.0, 40)  # clipping range as a share of the largest magnitude
_BLOCK = 3 * 2**16  # values that are looked at in one go: few operators, within a core's cache
_SLACK = 1.001  # more than float32 errs


@dataclass(frozen=True, slots=True)
class QuantizedWeight:
    """Integer codes and scales of one layer's weight.

    Attributes:
        codes: [K, ...] in [-(2^(b-1) - 1), 2^(b-1) - 1] (2 bits are ternary); int8, or int16 above 8 bits.
            Those of clustered weights are 2^b of the codes of 8 bits.
        scale: [K] float32, positive.
    """

    codes: Tensor
    scale: Tensor

    def dequantized(self) -> Tensor:
        """The weight that the codes stand for, float32 [K, ...]."""
        return self.codes * _column(self.scale, self.codes)


def keep_codes(layer: nn.Module, weight: QuantizedWeight) -> None:
    """Let a layer remember the codes and scales that its float weight is made of."""
    layer.register_buffer("codes", weight.codes)
    layer.register_buffer("scale", weight.scale.clone())


def integer_weight(layer: nn.Module) -> QuantizedWeight | None:
    """The codes and scales of a layer that remembers them; the scales may be changed in place."""
    if not hasattr(layer, "codes"):
        return None
    return QuantizedWeight(layer.codes, layer.scale)  # type: ignore[arg-type]


def largest_code(bits: int) -> int:
    """2^(b-1) - 1, the largest code of a symmetric range; 1 for ternary weights of 2 bits."""
    return 2 ** (bits - 1) - 1


def nearest_integer(limits: Sequence[int]) -> Rounding:
    """Rounds positions [Q, ...] to the nearest integers up to the largest code of each of Q quantizers."""
    largest = torch.tensor(limits, dtype=torch.float32)

    def rounded(positions: Tensor) -> Tensor:
        bound = largest.view(-1, *[1] * (positions.dim() - 1))
        return positions.round_().clamp_(-bound, bound)

    return rounded


def fit_scale(weight: Tensor, bits: int) -> Tensor:
    """The scale of least squared error of each output channel, from a grid of clipping ranges.

    Args:
        weight: [K, ...] float32; removed weights are zero.
        bits: 2 to 16.

    Returns:
        [K] float32, positive.
    """
    rows, limit = weight.flatten(1), largest_code(bits)
    largest = rows.abs().amax(1).clamp_min(torch.finfo(rows.dtype).tiny)
    scales = largest * _SHRINK[_first(rows, largest, limit) :, None] / limit
    size = max(1, _BLOCK // (len(scales) * rows.shape[1]))
    blocks = zip(rows.split(size), scales[..., None].split(size, 1), strict=True)
    errors = torch.cat([_squared_errors(block, steps, limit) for block, steps in blocks], 1)
    return scales.gather(0, errors.argmin(0, keepdim=True))[0]


def _first(rows: Tensor, largest: Tensor, limit: int) -> int:
    """The first clipping range of the grid where clipping the largest magnitudes [K] loses less than none clipped."""
    unclipped = _squared_errors(rows, (largest / limit)[None, :, None], limit)[0]
    clipped = torch.square(largest * (1.0 - _SHRINK[:, None]))
    return int((clipped <= _SLACK * unclipped).any(1).byte().argmax())


def _squared_errors(rows: Tensor, steps: Tensor, limit: int) -> Tensor:
    """[S, K] of rows [K, D] rounded by steps [S, K, 1]."""
    return torch.div(rows, steps).round_().clamp_(-limit, limit).mul_(steps).sub_(rows).square_().sum(2)


def _column(per_channel: Tensor, like: Tensor) -> Tensor:
    """[K] -> [K, 1, ...] with as many dimensions as ``like``."""
    return per_channel.view(-1, *[1] * (like.dim() - 1))
