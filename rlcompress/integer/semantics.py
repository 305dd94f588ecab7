"""What a compressed network computes, in integers: one definition for every engine and every export.

**Codes.** A stored tensor holds codes q in [0, 2^bits - 1], bits at most 8; q stands for (q - zero_point) * scale.
Images become codes by the rule *store* below; so does everything else that is stored. A layer's weight is codes w
of at most 8 bits with one scale a channel; its accumulator is

    acc = sum over the window of (q - zero_point) * w

in 32-bit integers (padding adds nothing: it holds the zero point), converted to float32. The conversion is exact below
2^24; beyond, it rounds to nearest even, in every engine.

**Requantization**, where a layer's output is stored, alone or as a sum with a tensor that is stored already (codes p),
with ReLU, ReLU6 or another clamp as the bounds low and high, which are codes:

    y = clamp(round_half_even(acc * m + b + r * p), low, high)

with m, b [K] and r in units of output codes: m = scale_x * scale_w / scale_y, r = scale_p / scale_y,
b = bias / scale_y + zero_point_y - r * zero_point_p, clamped to +-2^(bits_y + 4) (a layer some of whose outputs would
come out wrong by that gives real values, see below, which are stored). Where b is no code itself it
makes up for the rounding of m at the accumulator that gives the nearest code, as far as B allows. They are rounded to
multiples of a grid step g [K], 2^-24 times the least power of two that is not below

    B = 1 + max(L, L - b, |b|, R, R + b),  L = 2^bits_y - 1,  R = r * 2^bits_p

(2^-16 for 8 bits and b in [0, 255]; r takes the coarsest step of the layer's channels). So every engine agrees in every
bit, with or without fused multiply-add and in any order of the three terms: as long as the exact sum lies between -1/2
and L + 1/2, every product and partial sum is a multiple of g of at most B <= 2^24 g, which float32 holds exactly;
outside, rounding is monotone, the computed sum stays outside, and the clamp makes the results equal. A grid finer than
float32's 24 bits would lose this.

**Real values.** What is not stored (logits, the operands of an operator without an integer rule) is float32. A layer
gives fl(fl(acc * s) + bias), s = fl(scale_x * scale_w), two roundings; a stored tensor fl((q - zero_point) * scale).
Other operators work on real values as contiguous NCHW tensors, in float32. Real values are stored by

    store(v) = clamp(round_half_even(fl(v * fl(1 / scale))) + zero_point, low, high)

Clamping, maximum pooling, slicing, zero padding (by the zero point), reshaping and concatenation commute with *store*,
so they are done on codes, between the layer and the tensor that is stored; a bound v is the code
round_half_even(v / scale) + zero_point, of float64.

**Averages** must not depend on the order of summation, so they sum integers. Of stored codes, over ``count`` positions:
fl(S * fl(scale / count)), S the sum of q - zero_point. Of real values whose average is stored with scale s: each value
becomes t = clamp(round_half_even(fl(v * fl(1 / u))), -T, T), and the average is fl(S * fl(u / count)), S the sum of t;
u = s * 2^-f, k = ceil(log2(count)), T = 2^(24 - k), f = 24 - bits - k - min(k, 6). S stays at most 2^24: exact. Images
of more than 2^14 positions are averaged over each row, and then over the rows.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlcompress.quantization import ActivationRange

_MANTISSA = 24  # bits of float32
_TINY = 1e-300
_BIAS_BITS = 4  # beyond those of the output: a larger bias would coarsen the grid of the layer's residual


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and largest code that is stored; ReLU and its kin narrow them."""

    low: int
    high: int

    @classmethod
    def of(cls, at: ActivationRange, low: float = -math.inf, high: float = math.inf) -> "Bounds":
        """The codes of a range between two real values."""

        def code(value: float, otherwise: int) -> int:
            if math.isinf(value):
                return otherwise
            return min(max(round(value / at.scale) + at.zero_point, 0), 2**at.bits - 1)

        return cls(code(low, 0), code(high, 2**at.bits - 1))


@dataclass(frozen=True, slots=True)
class Requantization:
    """Turns accumulators, and codes of a residual, into codes of the output.

    Attributes:
        multiplier: m, float32 [K].
        bias: b, float32 [K].
        ratio: r, 0 without a residual.
        bounds: of the codes.
    """

    multiplier: Tensor
    bias: Tensor
    ratio: float
    bounds: Bounds


def requantization(
    scale: Tensor, bias: Tensor, source: ActivationRange, target: ActivationRange, bounds: Bounds,
    residual: ActivationRange | None = None,
) -> Requantization:  # fmt: skip
    """The constants of a layer whose output is stored, on the grid.

    Args:
        scale: of the weight's codes, [K].
        bias: real, [K].
        source: range of the layer's input.
        target: range that the output is stored at.
        bounds: codes that are left.
        residual: range of the stored tensor that is added.
    """
    ratio = residual.scale / target.scale if residual else 0.0
    offset = target.zero_point - (ratio * residual.zero_point if residual else 0.0)
    largest = largest_bias(target.bits)
    m = scale.numpy().astype(np.float64) * (source.scale / target.scale)
    b = _between(bias.numpy().astype(np.float64) / target.scale + offset, -largest, largest)
    step = grid_step(b, ratio, target.bits, residual.bits if residual else 0)
    coarsest = float(step.max())
    rounded = np.rint(m / step) * step
    code, added = 2.0**target.bits - 1.0, ratio * 2.0 ** (residual.bits if residual else 0)
    away = _between(b, -added, code) - b
    if away.any():
        sound = (rounded > 0.0) & (np.abs(b) < largest)
        makes_up = sound * (1.0 - rounded / np.maximum(m, _TINY)) * away
        most = step * 2.0**_MANTISSA - 1.0  # B - 1, which the grid stays right for
        b = _between(b + makes_up, np.maximum(-largest, code - most), np.minimum(largest, most - added))
    return Requantization(
        multiplier=torch.from_numpy(rounded.astype(np.float32)),
        bias=torch.from_numpy((np.rint(b / step) * step).astype(np.float32)),
        ratio=round(ratio / coarsest) * coarsest,
        bounds=bounds,
    )


def _between(values: NDArray[np.float64], low: NDArray[np.float64] | float, high: NDArray[np.float64] | float) -> Any:
    """Values clipped, several times as fast as `numpy.clip` where there are few."""
    return np.minimum(np.maximum(values, low), high)


def largest_bias(bits: int) -> float:
    """Of an output of so many bits, in its codes; larger ones are clipped.

    >>> largest_bias(8)
    4096.0
    """
    return 2.0 ** (bits + _BIAS_BITS)


def grid_step(bias: NDArray[np.float64], ratio: float, bits: int, residual_bits: int) -> NDArray[np.float64]:
    """The grid step g of each channel, [K].

    >>> np.log2(grid_step(np.array([10.0, -300.0]), 0.0, bits=8, residual_bits=0)).tolist()
    [-16.0, -14.0]
    """
    code, added = 2.0**bits - 1.0, ratio * 2.0**residual_bits
    shifted = np.maximum(code - bias, added + bias)
    largest = 1.0 + np.maximum(np.maximum(shifted, np.abs(bias)), max(code, added))
    step: NDArray[np.float64] = np.exp2(np.ceil(np.log2(largest)) - _MANTISSA)
    return step


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """How real values are rounded before they are averaged.

    Attributes:
        unit: u, real value of one step.
        limit: T, in steps.
    """

    unit: float
    limit: int

    @classmethod
    def of(cls, target: ActivationRange, count: int) -> "FixedPoint":
        """For averages over ``count`` positions that are stored at ``target``."""
        k = math.ceil(math.log2(count))
        fraction = _MANTISSA - target.bits - k - min(k, 6)
        return cls(target.scale * 2.0**-fraction, 2 ** (_MANTISSA - k))
