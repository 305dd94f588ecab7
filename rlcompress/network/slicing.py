"""Layers with fewer channels."""

from functools import singledispatch
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Positions = NDArray[np.int64]


@singledispatch
def sliced(module: nn.Module, outputs: Positions, inputs: Positions) -> nn.Module:
    """A layer with some of its output and input channels.

    Args:
        module: convolution, linear layer or BatchNorm.
        outputs: positions of the output channels that stay, ascending.
        inputs: positions of the input channels that stay, ascending; of every group as many.

    Raises:
        TypeError: a module of another kind.
    """
    raise TypeError(f"{type(module).__name__} has no channels to select")


@sliced.register
def _(module: nn.Conv2d, outputs: Positions, inputs: Positions) -> nn.Conv2d:
    depthwise = module.groups == module.in_channels == module.out_channels > 1
    groups = len(outputs) if depthwise else module.groups
    columns = inputs[: len(inputs) // groups] if not depthwise else np.zeros(1, np.int64)
    small = nn.Conv2d(
        len(inputs), len(outputs), module.kernel_size,  # type: ignore[arg-type]
        module.stride, module.padding, module.dilation, groups, module.bias is not None, module.padding_mode,  # type: ignore[arg-type]
    )  # fmt: skip
    return _filled(small, module, outputs, columns)


@sliced.register
def _(module: nn.Linear, outputs: Positions, inputs: Positions) -> nn.Linear:
    return _filled(nn.Linear(len(inputs), len(outputs), module.bias is not None), module, outputs, inputs)


@sliced.register(nn.BatchNorm1d)
@sliced.register(nn.BatchNorm2d)
def _(module: nn.BatchNorm2d, outputs: Positions, inputs: Positions) -> nn.BatchNorm2d:
    small = type(module)(len(outputs), module.eps, module.momentum, module.affine, module.track_running_stats)
    rows = torch.from_numpy(outputs)
    for name, tensor in module.state_dict().items():
        small.state_dict()[name].copy_(tensor[rows] if tensor.dim() else tensor)
    return small.eval().requires_grad_(False)


_Layer = TypeVar("_Layer", nn.Conv2d, nn.Linear)


def _filled(small: _Layer, layer: _Layer, outputs: Positions, inputs: Positions) -> _Layer:
    """``small`` with weights [K, C, ...] and biases of some channels of ``layer``."""
    rows, columns = torch.from_numpy(outputs), torch.from_numpy(inputs)

    def stay(tensor: Tensor) -> nn.Parameter:
        return nn.Parameter(tensor.detach().clone(), requires_grad=False)

    small.weight = stay(layer.weight[rows][:, columns])
    if layer.bias is not None:
        small.bias = stay(layer.bias[rows])
    for name, tensor in layer.named_buffers(recurse=False):  # codes of the weight's shape, scales of the outputs
        small.register_buffer(name, tensor[rows][:, columns] if tensor.shape == layer.weight.shape else tensor[rows])
    return small.eval()
