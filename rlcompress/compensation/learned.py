"""A compressed network whose codes, scales, biases and activation ranges can be learned."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from rlcompress.compensation.moments import removed_outputs
from rlcompress.compensation.rounded import RoundedLayer
from rlcompress.network.layers import bias_of, column, weighted
from rlcompress.quantization import ActivationQuantizer, ActivationRange, QuantizedWeight, keep_codes

_HALF = 0.49  # of a step: the farthest that a position lies from its code
_REACH = 0.15  # of the largest code, and at least a step: the farthest that a code moves
_FEW = 7  # largest code up to which positions are learned in steps


class Watched:
    """A network together with what some of its modules are given."""

    def __init__(self, network: nn.Module, modules: Iterable[str]) -> None:
        self._network = network
        self._seen: dict[str, Tensor] = {}
        for name in modules:
            network.get_submodule(name).register_forward_pre_hook(self._recorder(name))

    def _recorder(self, name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        return lambda _module, inputs: self._seen.__setitem__(name, inputs[0])

    def __call__(self, images: Tensor, parameters: dict[str, Tensor]) -> list[Tensor]:
        """Inputs of the modules in execution order, and last the network's output."""
        self._seen.clear()
        output: Tensor = torch.func.functional_call(self._network, parameters, (images,))
        return [*self._seen.values(), output]


class Student:
    """A compressed network while it learns."""

    def __init__(self, network: nn.Module, layers: Mapping[str, RoundedLayer]) -> None:
        learning = copy.deepcopy(network)
        self.weights = {name: LearnedWeight(layer) for name, layer in layers.items()}
        self.biases = {name: nn.Parameter(bias_of(weighted(network, name)).clone()) for name in layers}
        self._live = {name: ~removed_outputs(weighted(network, name)) for name in layers}
        self.ranges = {
            name: LearnedRange(module.range)
            for name, module in network.named_modules()
            if isinstance(module, ActivationQuantizer) and module.range is not None
        }
        for name, module in self.ranges.items():
            learning.set_submodule(name, module)
        self._watched = Watched(learning, self.ranges)

    def parameters(self) -> dict[str, list[nn.Parameter]]:
        """What is learned, by kind."""
        weights = self.weights.values()
        return {
            "position": [weight.position for weight in weights],
            "scale": [weight.log_scale for weight in weights],
            "bias": list(self.biases.values()),
            "range": [module.log_scale for module in self.ranges.values()],
        }

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Inputs of the quantizers and last the output, on images [N, C, H, W]."""
        weights = {f"{name}.weight": weight.codes() * weight.scale() for name, weight in self.weights.items()}
        biases = {f"{name}.bias": bias * self._live[name] for name, bias in self.biases.items()}
        return self._watched(images, {**weights, **biases})

    @torch.no_grad()
    def clamp(self) -> None:
        """Take positions that went too far back."""
        for weight in self.weights.values():
            weight.position.clamp_(weight.low, weight.high)

    @torch.no_grad()
    def write_to(self, network: nn.Module) -> dict[str, QuantizedWeight]:
        """Give what was learned to a network of the same layers and quantizers."""
        for name, module in self.ranges.items():
            quantizer = network.get_submodule(name)
            quantizer.range = replace(module.range, scale=float(module.log_scale.exp()))  # type: ignore[assignment]
        learned = {name: weight.quantized() for name, weight in self.weights.items()}
        for name, weight in learned.items():
            layer = weighted(network, name)
            layer.weight.copy_(weight.dequantized())
            keep_codes(layer, weight)
            bias_of(layer).copy_(self.biases[name] * self._live[name])
        return learned


class LearnedWeight:
    """Codes and scales of one layer while they are learned.

    Positions are in units of a seventh of the largest code where that is more than a step, so that at one learning rate
    weights of 8 bits change as much as those of 4.
    """

    def __init__(self, layer: RoundedLayer) -> None:
        codes, limit = layer.weight.codes.float(), layer.limit
        self._unit, reach = max(1.0, limit / _FEW), max(1, round(_REACH * limit))
        low, high = (codes - reach).clamp_min(-limit) - _HALF, (codes + reach).clamp_max(limit) + _HALF
        start, self.low, self.high = (
            torch.where(layer.kept, position, 0.0).div_(self._unit) for position in (codes, low, high)
        )
        self.position = nn.Parameter(start)
        self.log_scale = nn.Parameter(column(layer.weight.scale, codes, dim=0).log())
        self._type = layer.weight.codes.dtype

    def codes(self) -> Tensor:
        """[K, ...] float32 integers."""
        rounded: Tensor = _StraightRound.apply(self.position * self._unit)  # type: ignore[no-untyped-call]
        return rounded

    def scale(self) -> Tensor:
        """[K, 1, ...]."""
        return self.log_scale.exp()

    def quantized(self) -> QuantizedWeight:
        """What has been learned."""
        return QuantizedWeight(self.codes().to(self._type), self.scale().flatten())


class LearnedRange(nn.Module):
    """An activation quantizer whose scale is learned."""

    def __init__(self, fitted: ActivationRange) -> None:
        super().__init__()
        self.range = fitted
        self.log_scale = nn.Parameter(torch.tensor(math.log(fitted.scale)))

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...] -> the same shape."""
        low, high = -self.range.zero_point, 2**self.range.bits - 1 - self.range.zero_point
        rounded: Tensor = _LearnedStep.apply(x, self.log_scale.exp(), low, high)  # type: ignore[no-untyped-call]
        return rounded


class _StraightRound(torch.autograd.Function):
    """Rounds; the gradient passes unchanged."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _LearnedStep(torch.autograd.Function):
    """Rounds to multiples of a scale within limits, with LSQ's gradients (Esser et al., ICLR 2020, eq. 3 and 5)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
        position = x / scale
        rounded = position.round().clamp_(low, high).mul_(scale)
        ctx.limits = low, high
        ctx.save_for_backward(position, rounded, scale)
        return rounded

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        position, rounded, scale = ctx.saved_tensors
        low, high = ctx.limits
        if gradient.stride() != position.stride():  # what mixes layouts takes many times as long
            gradient = torch.empty_like(position).copy_(gradient)
        inside = torch.ops.aten.hardtanh_backward(gradient, position, low, high)
        slope = (gradient * rounded).sum() / scale - (inside * position).sum()
        return inside, slope, None, None
