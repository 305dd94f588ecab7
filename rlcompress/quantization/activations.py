"""Affine per-tensor activation quantization with ranges of least error."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_SHRINK = torch.linspace(0.1, 1.0, 46).tolist()  # clipping range as a share of the observed one


@dataclass(frozen=True, slots=True)
class ActivationRange:
    """Scale and zero point of a tensor at one bit-width; zero is represented exactly.

    Attributes:
        scale: positive.
        zero_point: code of the value 0, in [0, 2^bits - 1].
        bits: width of the codes.
    """

    scale: float
    zero_point: int
    bits: int

    def quantized(self, x: Tensor) -> Tensor:
        """``x`` rounded to the representable values, same shape and type."""
        # four passes over the tensor, yet faster than torch.fake_quantize_per_tensor_affine, and equal to it
        low, high = -self.zero_point, 2**self.bits - 1 - self.zero_point
        return torch.mul(x, 1.0 / self.scale).round_().clamp_(low, high).mul_(self.scale)


class ActivationQuantizer(nn.Module):
    """Rounds a stored tensor to its range; passes it through while ``range`` is None."""

    elementwise = True  # `rlcompress.network.channels` follows channels through it

    def __init__(self, rounded_to: ActivationRange | None = None) -> None:
        super().__init__()
        self.range = rounded_to

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...] -> the same shape."""
        return x if self.range is None else self.range.quantized(x)

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return repr(self.range)


def fit_ranges(samples: Tensor, widths: Iterable[int], norm: float = 3.0) -> Mapping[int, ActivationRange]:
    """The range of least error for each bit-width.

    The observed range (from 0 for tensors that are never negative) is shrunk in steps; the step with the least sum of
    |error|^norm over the samples wins, at every width on its own. A norm above 2 clips less: errors of rounding
    average out in the sums that readers form, those of clipping have one sign and add up (compare Nahshan et al.,
    "Loss aware post-training quantization", Machine Learning 2021, section 4).

    Args:
        samples: values of the tensor, any shape, float32.
        widths: bit-widths to fit.
        norm: at least 1; 2 gives the least squared error.
    """
    values = samples.flatten()
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if high - low <= 0.0:
        low, high = 0.0, 1.0
    return {bits: _fit(values, low, high, bits, norm) for bits in widths}


def _fit(values: Tensor, low: float, high: float, bits: int, norm: float) -> ActivationRange:
    levels = 2**bits - 1
    best, best_error = None, float("inf")
    for shrink in _SHRINK:
        scale = (high - low) * shrink / levels
        candidate = ActivationRange(scale, round(-low * shrink / scale), bits)
        error = float((candidate.quantized(values) - values).abs().pow(norm).sum(dtype=torch.float64))
        if error < best_error:
            best, best_error = candidate, error
    assert best is not None
    return best
