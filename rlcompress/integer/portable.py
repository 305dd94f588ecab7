"""The portable engine: float32 on integer-valued codes, exact on every platform; the oracle of the others."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlcompress.integer.engines import IntegerConv, Step
from rlcompress.integer.semantics import Requantization

_EXACT = 2**24  # integers up to here are float32 numbers


class _Accumulator(nn.Module):
    """acc of `rlcompress.integer.semantics`, from codes [N, C, H, W]."""

    weight: Tensor

    def __init__(self, conv: IntegerConv) -> None:
        super().__init__()
        self.conv = conv
        # Every partial sum is an integer: exact in any order, and in float64 where float32 might not hold it.
        self.number_type = torch.float32 if conv.largest_sum <= _EXACT else torch.float64
        weight = conv.codes.to(self.number_type)
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))

    def forward(self, codes: Tensor) -> Tensor:
        """[N, C, H, W] -> float32 [N, K, P, Q]."""
        centred = codes.to(self.number_type)
        if self.conv.zero_point:
            centred = centred - self.conv.zero_point
        conv = self.conv
        if _by_onednn(centred):
            return torch.mkldnn_convolution(
                centred, self.weight, None, conv.padding, conv.stride, conv.dilation, conv.groups
            )
        with _direct(codes):
            acc = functional.conv2d(centred, self.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
        return acc.float()


class _Requantized(_Accumulator):
    multiplier: Tensor
    bias: Tensor

    def __init__(self, conv: IntegerConv, to: Requantization) -> None:
        super().__init__(conv)
        self.to_codes = to
        self.register_buffer("multiplier", to.multiplier.view(1, -1, 1, 1))
        self.register_buffer("bias", to.bias.view(1, -1, 1, 1))

    def forward(self, codes: Tensor, residual: Tensor | None = None) -> Tensor:
        """[N, C, H, W] and perhaps [N, K, P, Q] -> codes [N, K, P, Q]."""
        sums = super().forward(codes)
        torch.addcmul(self.bias, sums, self.multiplier, out=sums)
        if residual is not None:
            sums.add_(residual, alpha=self.to_codes.ratio)
        return sums.round_().clamp_(self.to_codes.bounds.low, self.to_codes.bounds.high)


class PortableEngine:
    """Codes are float32."""

    name = "portable"
    device = "cpu"
    code_type = torch.float32
    overwrites_residuals = False

    def accumulator(self, conv: IntegerConv) -> Step:
        """See `rlcompress.integer.engines.Engine`."""
        return _Accumulator(conv)

    def requantized(self, conv: IntegerConv, to: Requantization) -> Step:
        """See `rlcompress.integer.engines.Engine`."""
        return _Requantized(conv, to)

    def finish(self) -> None:
        """See `rlcompress.integer.engines.Engine`."""


class CudaEngine(PortableEngine):
    """The same steps on a GPU; what has no integer rule stays on the CPU, see `rlcompress.integer.steps.on_cpu`."""

    name = "cuda"
    device = "cuda"


def _by_onednn(codes: Tensor) -> bool:
    """Whether oneDNN is asked directly: `conv2d` gives it all but 1x1 windows, which take it half the time.

    Tensors that only stand for others while a network is exported (subclasses) are left to `conv2d`.
    """
    plain = type(codes) is Tensor and codes.device.type == "cpu" and codes.dtype == torch.float32
    return plain and torch.backends.mkldnn.is_available()


def _direct(codes: Tensor) -> AbstractContextManager[None]:
    """On CUDA, products and sums only: cuDNN may choose Winograd or Fourier transforms, or TF32, which round."""
    if not codes.is_cuda:
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=False)
