"""Specs of layers with weights that no policy changes: they run dense, and cost what they cost at 8 bits."""

import math
from typing import Any, NamedTuple

from torch import fx, nn

from rlcompress.network.operations import (
    CLAMP_MODULES,
    CLAMPS,
    CONCATENATIONS,
    PAD_MODULES,
    RESHAPING,
    RESHAPING_MODULES,
    VIEW_MODULES,
    VIEWS,
    argument,
    is_tensor,
    operation,
)
from rlcompress.spec import LayerSpec

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)
_FUNCTIONS = frozenset({"conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"})
_NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d,
    nn.LocalResponseNorm, nn.PReLU,
)  # fmt: skip
_PRODUCTS = frozenset({
    "matmul", "bmm", "baddbmm", "addmm", "einsum", "tensordot", "scaled_dot_product_attention", "bilinear", "conv3d",
    "conv_transpose3d",
})  # fmt: skip
"""Functions that multiply and accumulate, for which there is no spec."""
_FREE_MODULES = (*VIEW_MODULES, *RESHAPING_MODULES, *PAD_MODULES, *CLAMP_MODULES)
_FREE = VIEWS | RESHAPING | CONCATENATIONS | CLAMPS | {"type", "type_as", "t", "getattr"}
"""Functions that only move or bound values."""


def fixed_spec(node: fx.Node, module: nn.Module | None, name: str, inputs: tuple[str, ...]) -> LayerSpec | None:
    """The spec of a layer that no policy changes; None where it is no convolution and no linear layer.

    A transposed convolution runs as a convolution of its input with zeros between the pixels; a linear layer of many
    positions runs as a 1x1 convolution.
    """
    source = node.args[0] if node.args else None
    if not is_tensor(source) or not is_tensor(node):
        return None
    assert isinstance(source, fx.Node)
    read, written = source.meta["shape"], node.meta["shape"]
    if isinstance(module, nn.Linear) or (module is None and operation(node) == "linear"):
        sizes: dict[str, Any] = {"kind": "linear", "out_channels": written[-1], "in_channels": read[-1]}
        if len(read) > 2:
            positions = math.prod(read[1:-1])
            sizes |= {"kind": "conv", "out_height": positions, "in_height": positions}
        return LayerSpec(name=name, inputs=inputs, fixed=True, **sizes)
    window = _window_of(module) if module is not None else _window_of_function(node)
    if window is None:
        return None
    kernel, stride, groups = window
    (in_height, in_width), (out_height, out_width) = ((*shape[2:], 1)[:2] for shape in (read, written))
    return LayerSpec(
        name=name, kind="conv", out_channels=written[1], in_channels=read[1], out_height=out_height,
        out_width=out_width, in_height=in_height, in_width=in_width, kernel_height=kernel[0],
        kernel_width=(*kernel, 1)[1], stride=stride, groups=groups, inputs=inputs, fixed=True,
    )  # fmt: skip


def multiplies(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether an operator that has no spec multiplies and accumulates, so that costs leave something out."""
    if module is None:
        return operation(node) in _PRODUCTS
    return not isinstance(module, _NORMS) and any(weight.dim() > 1 for weight in module.parameters())


def computes(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether an operator that has no spec makes new values out of others, which it does in float32."""
    called = node.op.startswith("call") and is_tensor(node)
    if not called or all(part.meta["plain"] for part in node.all_input_nodes):
        return False
    return operation(node) not in _FREE if module is None else not isinstance(module, _FREE_MODULES)


class _Window(NamedTuple):
    kernel: tuple[int, ...]
    stride: int
    groups: int


def _window_of(module: nn.Module) -> _Window | None:
    if not isinstance(module, _CONVOLUTIONS):
        return None
    stride = 1 if isinstance(module, _TRANSPOSED) else max(module.stride)
    return _Window(module.kernel_size, stride, module.groups)


def _window_of_function(node: fx.Node) -> _Window | None:
    name = operation(node)
    weight = node.args[1] if len(node.args) > 1 else node.kwargs.get("weight")
    if name not in _FUNCTIONS or not isinstance(weight, fx.Node):
        return None
    stride, groups = argument(node, 3, "stride", 1), argument(node, 6, "groups", 1)
    widest = max(stride) if isinstance(stride, list | tuple) else stride
    assert isinstance(widest, int)
    assert isinstance(groups, int)
    return _Window(tuple(weight.meta["shape"][2:]), 1 if "transpose" in name else widest, groups)
