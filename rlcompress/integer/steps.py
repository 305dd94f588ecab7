"""What is not a convolution: the same PyTorch code for every engine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.nn import functional

from rlcompress.integer.engines import Step
from rlcompress.integer.semantics import Bounds, FixedPoint
from rlcompress.network.layers import column
from rlcompress.quantization import ActivationRange


@dataclass(frozen=True, slots=True)
class Store:
    """Real values to codes."""

    at: ActivationRange
    bounds: Bounds
    code_type: torch.dtype

    def __call__(self, x: Tensor) -> Tensor:
        """float32 [N, ...] -> codes of the same shape."""
        codes = torch.mul(x, 1.0 / self.at.scale).round_().add_(self.at.zero_point)
        codes = codes.clamp_(self.bounds.low, self.bounds.high).to(self.code_type)
        return codes.contiguous(memory_format=torch.channels_last) if codes.dim() == 4 else codes


@dataclass(frozen=True, slots=True)
class Load:
    """Codes to real values."""

    at: ActivationRange

    def __call__(self, codes: Tensor) -> Tensor:
        """Codes [N, ...] -> float32 of the same shape."""
        return _centred(codes, self.at).mul_(self.at.scale)


class Affine(nn.Module):
    """Accumulators to real values: two roundings, in this order."""

    scale: Tensor
    bias: Tensor

    def __init__(self, accumulator: Step, scale: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.accumulator = accumulator
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes [N, C, ...] -> float32 [N, K, ...]."""
        acc = self.accumulator(codes)
        return acc.mul_(column(self.scale, acc, dim=1)).add_(column(self.bias, acc, dim=1))


class AsImage(nn.Module):
    """Runs a 1x1 convolution on vectors."""

    def __init__(self, conv: Step) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, codes: Tensor) -> Tensor:
        """[N, C] -> [N, K]."""
        return self.conv(codes[:, :, None, None]).flatten(1)


MOST_AT_ONCE = 2**14  # positions that real values are averaged over in one sum


@dataclass(frozen=True, slots=True)
class Window:
    """The positions that an average goes over.

    Attributes:
        pool: arguments of `avg_pool2d` after the input, (kernel, stride, padding); None for whole images.
        keepdim: whether whole images leave [N, C, 1, 1] or [N, C].
    """

    pool: tuple[Any, Any, Any] | None
    keepdim: bool = True

    def sums(self, x: Tensor) -> Tensor:
        """Sums over each window: [N, C, P, Q] or [N, C]."""
        if self.pool is None:
            return x.sum((2, 3), keepdim=self.keepdim)
        return functional.avg_pool2d(x, *self.pool, divisor_override=1)

    def rows(self, height: int, width: int) -> "Window | None":
        """What to average over first where there are too many positions for one fixed-point sum; None where not."""
        if self.pool is not None or width == 1 or height * width <= MOST_AT_ONCE:
            return None
        return Window(((1, width), None, 0))

    def count(self, x: Tensor) -> int:
        """Positions in a window."""
        if self.pool is None:
            return x.shape[2] * x.shape[3]
        kernel = self.pool[0]
        return int(kernel**2 if isinstance(kernel, int) else kernel[0] * kernel[-1])


@dataclass(frozen=True, slots=True)
class AverageCodes:
    """Codes to the real values of their averages."""

    window: Window
    at: ActivationRange

    def __call__(self, codes: Tensor) -> Tensor:
        """Codes [N, C, H, W] -> float32 averages."""
        centred = _centred(codes, self.at)
        return self.window.sums(centred) * (self.at.scale / self.window.count(codes))


@dataclass(frozen=True, slots=True)
class AverageReal:
    """Real values to the real values of their averages, which will be stored at a known range."""

    window: Window
    target: ActivationRange

    def __call__(self, x: Tensor) -> Tensor:
        """float32 [N, C, H, W] -> float32 averages."""
        rows = self.window.rows(*x.shape[2:])
        if rows is not None:
            x = AverageReal(rows, self.target)(x)
        count = self.window.count(x)
        point = FixedPoint.of(self.target, count)
        steps = torch.mul(x, 1.0 / point.unit).round_().clamp_(-point.limit, point.limit)
        return self.window.sums(steps) * (point.unit / count)


def on_cpu(function: Callable[..., Any], operands: tuple[Any, ...]) -> Any:
    """What a function of real values gives for contiguous copies on the CPU, on the device of the operands.

    So nothing depends on layouts or on other devices' float32, and operators in place spare the originals.
    """
    device = next((x.device for x in operands if isinstance(x, Tensor)), torch.device("cpu"))
    copies = (
        x.to("cpu", copy=True, memory_format=torch.contiguous_format) if isinstance(x, Tensor) else x for x in operands
    )
    result = function(*copies)
    if device.type == "cpu":
        return result
    return map_aggregate(result, lambda x: x.to(device) if isinstance(x, Tensor) else x)


class Apply(nn.Module):
    """A node's own function or module, on codes for those that only move them, else on real values.

    Args:
        function: what to call.
        node: whose arguments it gets; tensors among them are the operands, in the order of `fx.Node.all_input_nodes`.
        real: whether it runs as `on_cpu` says.
    """

    def __init__(self, function: Callable[..., Any], node: fx.Node, *, real: bool) -> None:
        super().__init__()
        self.function, self.real = function, real
        self.op, self.target = node.op, node.target
        self.position = {part: i for i, part in enumerate(node.all_input_nodes)}
        self.args, self.kwargs = node.args, node.kwargs

    def forward(self, *operands: Any) -> Any:
        """Whatever the function gives."""
        return on_cpu(self._called, operands) if self.real else self._called(*operands)

    def _called(self, *operands: Any) -> Any:
        args = fx.map_arg(self.args, lambda part: operands[self.position[part]])
        kwargs = fx.map_arg(self.kwargs, lambda part: operands[self.position[part]])
        return self.function(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class Pad:
    """Constant padding of codes by the zero point."""

    pads: tuple[int, ...]
    zero_point: int

    def __call__(self, codes: Tensor) -> Tensor:
        """[N, C, H, W] -> the padded tensor."""
        return functional.pad(codes, self.pads, value=self.zero_point)


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Maxima of codes; PyTorch 2.13 refuses to pool bytes."""

    pool: Apply

    def __call__(self, codes: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, P, Q]."""
        maxima: Tensor = self.pool(codes.float())
        return maxima.to(codes.dtype)


class Constant(nn.Module):
    """A tensor of the network itself."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self) -> Tensor:
        """The tensor."""
        return self.value


def _centred(codes: Tensor, at: ActivationRange) -> Tensor:
    """What codes stand for, in units of the scale: float32, a tensor of its own."""
    real = codes.float()  # the codes themselves in engines that have them so
    return torch.sub(real, at.zero_point, out=None if real is codes else real)
