"""The int8 engine: oneDNN's quantized convolution, as `torch.ops.onednn` offers it on CPUs."""

from dataclasses import replace
from functools import cache, cached_property

import torch
from torch import Tensor
from torch.nn import functional

from rlcompress.integer.engines import IntegerConv, Step
from rlcompress.integer.portable import PortableEngine
from rlcompress.integer.semantics import Bounds, Requantization

_LARGEST = 255  # where u8 saturates by itself
_ONE = torch.ones(1)


class _Conv:
    def __init__(self, conv: IntegerConv, multiplier: Tensor) -> None:
        self.conv = conv
        self.geometry = (list(conv.stride), list(conv.padding), list(conv.dilation), conv.groups)
        self.zero_point = conv.zero_point
        self.multiplier = multiplier
        self.weight_zero = torch.zeros(len(multiplier), dtype=torch.int32)

    @cached_property
    def weight(self) -> Tensor:
        """In the operator's own layout, which does not depend on the multiplier (read element by element here)."""
        return torch.ops.onednn.qconv_prepack(self.conv.codes, _ONE, 1.0, self.zero_point, *self.geometry, None)

    def __getstate__(self) -> dict[str, object]:
        """Copies pack their own weight: oneDNN's tensors can be neither copied nor written."""
        return {name: value for name, value in vars(self).items() if name != "weight"}

    def border(self, codes: Tensor) -> Tensor | None:
        """The input with its padding, where windows may lie in padding alone, which oneDNN sums wrongly; else None."""
        spans = [d * (k - 1) + 1 for d, k in zip(self.conv.dilation, self.conv.codes.shape[2:], strict=True)]
        high, wide = self.conv.padding
        if high < spans[0] and wide < spans[1] <= codes.shape[3]:
            return None
        return functional.pad(codes, (wide, wide, high, high), value=self.zero_point)

    def head(self, codes: Tensor) -> tuple[object, ...]:
        """The operator's arguments up to the weight's zero points."""
        codes = codes.contiguous(memory_format=torch.channels_last)
        return codes, 1.0, self.zero_point, self.weight, self.multiplier, self.weight_zero


class _Accumulator(_Conv):
    """acc of `rlcompress.integer.semantics`, from codes [N, C, H, W]."""

    def __init__(self, conv: IntegerConv) -> None:
        super().__init__(conv, torch.ones(len(conv.codes)))

    @cached_property
    def unpadded(self) -> "_Accumulator":
        """The same of inputs that have their padding."""
        return _Accumulator(replace(self.conv, padding=(0, 0)))

    def __call__(self, codes: Tensor) -> Tensor:
        """[N, C, H, W] -> float32 [N, K, P, Q]."""
        if any(self.conv.padding) and (whole := self.border(codes)) is not None:
            return self.unpadded(whole)
        return torch.ops.onednn.qconv2d_pointwise(
            *self.head(codes), None, *self.geometry, 1.0, 0, torch.float32, "none", [], ""
        )


class _Requantized(_Conv):
    def __init__(self, conv: IntegerConv, to: Requantization) -> None:
        super().__init__(conv, to.multiplier)
        self.to = to
        self.bias = to.bias
        self.ratio = to.ratio
        self.bounds = to.bounds
        self.saturates = to.bounds == Bounds(0, _LARGEST)
        self.clamp = (
            ("none", [], "") if self.saturates else ("hardtanh", [float(to.bounds.low), float(to.bounds.high)], "")
        )

    @cached_property
    def unpadded(self) -> "_Requantized":
        """The same of inputs that have their padding."""
        return _Requantized(replace(self.conv, padding=(0, 0)), self.to)

    def __call__(self, codes: Tensor, residual: Tensor | None = None) -> Tensor:
        """[N, C, H, W] and perhaps [N, K, P, Q], which is overwritten, -> codes [N, K, P, Q]."""
        if any(self.conv.padding) and (whole := self.border(codes)) is not None:
            return self.unpadded(whole, residual)
        if residual is None:
            return torch.ops.onednn.qconv2d_pointwise(
                *self.head(codes), self.bias, *self.geometry, 1.0, 0, torch.uint8, *self.clamp
            )
        out = torch.ops.onednn.qconv2d_pointwise.binary(
            *self.head(codes), residual.contiguous(memory_format=torch.channels_last), self.bias, *self.geometry,
            1.0, 0, torch.uint8, self.ratio, 0, "sum", 1.0, "none", [], "",
        )  # fmt: skip
        return out if self.saturates else out.clamp_(self.bounds.low, self.bounds.high)


class OneDnnEngine:
    """Codes are uint8, weights int8, accumulators int32."""

    name = "int8"
    device = "cpu"
    code_type = torch.uint8
    overwrites_residuals = True

    def __init__(self) -> None:
        self._unpacked: list[_Conv] = []

    def accumulator(self, conv: IntegerConv) -> Step:
        """See `rlcompress.integer.engines.Engine`."""
        return self._noted(_Accumulator(conv))

    def requantized(self, conv: IntegerConv, to: Requantization) -> Step:
        """See `rlcompress.integer.engines.Engine`."""
        return self._noted(_Requantized(conv, to))

    def finish(self) -> None:
        """See `rlcompress.integer.engines.Engine`."""
        for step in self._unpacked:
            _ = step.weight
        self._unpacked = []

    def _noted(self, step: "_Accumulator | _Requantized") -> Step:
        self._unpacked.append(step)
        return step


@cache
def int8_works() -> bool:
    """Whether this machine's int8 convolutions give what the portable engine gives.

    Runs small ones on the largest codes: without VNNI, sums of two products may saturate at 16 bits. The operators
    are not a stable interface of PyTorch, so whatever goes wrong counts as "no".
    """
    generator = torch.Generator().manual_seed(0)
    try:
        return all(_agrees(channels, groups, residual, generator) for channels, groups, residual in _TRIALS)
    except Exception:
        return False


_TRIALS = ((64, 1, False), (64, 1, True), (16, 16, False), (3, 1, False), (32, 4, True))


def _agrees(channels: int, groups: int, residual: bool, generator: torch.Generator) -> bool:
    def integers(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    weight = integers(0, 2, 16, channels // groups, 3, 3) * 254 - 127
    conv = IntegerConv(weight.to(torch.int8), 3, _LARGEST, padding=(1, 1), groups=groups)
    to = Requantization(integers(1, 64, 16) * 2.0**-14, integers(-9999, 9999, 16) * 2.0**-14, 0.75, Bounds(0, 63))
    operands = [integers(254, 256, 2, channels, 9, 9)]
    if residual:
        operands.append(integers(0, 256, 2, 16, 9, 9))
    wanted = PortableEngine().requantized(conv, to)(*(x.float() for x in operands))
    given = OneDnnEngine().requantized(conv, to)(*(x.to(torch.uint8) for x in operands))
    sums = [e.accumulator(conv)(operands[0].to(e.code_type)) for e in (PortableEngine(), OneDnnEngine())]
    return torch.equal(wanted, given.float()) and torch.equal(*sums)
