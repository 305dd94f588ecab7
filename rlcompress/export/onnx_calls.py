"""PyTorch's functions and modules as ONNX nodes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rlcompress.errors import NetworkError
from rlcompress.export.calls import Call
from rlcompress.export.onnx_graph import OnnxGraph
from rlcompress.export.records import Record

Rule = Callable[["_Context"], Any]


class _Context:
    """A call with its operands' ONNX names, and access to its arguments by position or name."""

    def __init__(self, graph: OnnxGraph, call: Call, record: Record) -> None:
        self.graph, self.call, self.record = graph, call, record
        self.args, self.kwargs = call.arguments(tuple(graph.names[i] for i in record.inputs))
        self.shape = graph.shapes[record.output]
        self.source = graph.shapes[record.inputs[0]]
        self.config = call.settings.get("config", {})

    @property
    def x(self) -> Any:
        return self.args[0] if self.args else self.kwargs["input"]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        if "module" in self.call.settings:
            return self.config.get(name, default)
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> Any:
        return self.graph.node(kind, list(inputs), **attributes)

    def number(self, value: Any) -> str:
        return value if isinstance(value, str) else self.graph.constant(value)

    def tensor(self, name: str) -> str:
        return self.graph.constant(self.held(name).numpy())

    def held(self, name: str) -> Tensor:
        """A tensor of a module."""
        if name not in self.call.tensors:
            raise NetworkError(f"an operator that computes its {name} has no ONNX rule; export as safetensors or torch")
        return self.call.tensors[name]

    def integers(self, values: Any) -> str:
        return self.graph.constant(values, np.int64)


def emit_call(graph: OnnxGraph, call: Call, record: Record) -> Any:
    """Append the nodes of a call; returns the name of its output, or names of several.

    Raises:
        NetworkError: there is no rule for it.
    """
    settings = call.settings
    name = settings.get("module") or settings.get("method") or settings["function"].split(".")[1]
    key = name if "module" in settings else name.rstrip("_")
    key = _SAME_AS.get(key, key)
    if key not in _RULES:
        raise NetworkError(f"operator {name!r} has no ONNX rule; export as safetensors or torch")
    if key in _INEXACT:
        graph.inexact.add(key)
    return _RULES[key](_Context(graph, call, record))


def _concatenated(c: _Context) -> str:
    return str(c.node("Concat", *c.args[0], axis=int(c.argument(1, "dim", 0))))


def _reshaped(c: _Context) -> str:
    return str(c.node("Reshape", c.x, c.integers([-1, *c.shape[1:]])))


def _permuted(c: _Context) -> str:
    dims = c.argument(1, "dims")
    order = dims if isinstance(dims, list) else c.args[1:]
    return str(c.node("Transpose", c.x, perm=[i % len(c.shape) for i in order]))


def _transposed(c: _Context) -> str:
    order = list(range(len(c.shape)))
    named = [c.kwargs[key] for key in ("dim0", "axis0", "dim1", "axis1") if key in c.kwargs]
    a, b = (int(dim) % len(order) for dim in [*c.args[1:], *named])
    order[a], order[b] = order[b], order[a]
    return str(c.node("Transpose", c.x, perm=order))


def _split(c: _Context) -> Any:
    axis = int(c.argument(2, "dim", 0))
    sizes = [shape[axis] for shape in c.shape]
    names = c.node("Split", c.x, c.integers(sizes), axis=axis, outputs=len(sizes))
    return [names] if len(sizes) == 1 else names


def _got(c: _Context) -> Any:
    """An element of a tuple, or slices of a tensor."""
    if isinstance(c.x, list):
        return c.x[c.args[1]]
    index = list(c.args[1]) if isinstance(c.args[1], list) else [c.args[1]]
    if Ellipsis in index:
        at = index.index(Ellipsis)
        index[at : at + 1] = [slice(None)] * (len(c.source) + 1 - len(index))
    if not all(isinstance(part, slice) for part in index):
        raise NetworkError("indexing by numbers has no ONNX rule; index by slices such as x[:, 0:1]")
    rows = [(part, axis) for axis, part in enumerate(index) if part != slice(None)]
    if not rows:
        return c.node("Identity", c.x)
    ranges = [(part.indices(c.source[axis]), axis) for part, axis in rows]
    starts, ends = [r[0] for r, _ in ranges], [r[1] for r, _ in ranges]
    axes, steps = [axis for _, axis in ranges], [r[2] for r, _ in ranges]
    return c.node("Slice", c.x, *(c.integers(values) for values in (starts, ends, axes, steps)))


def _expanded(c: _Context) -> str:
    return str(c.node("Expand", c.x, c.integers([1, *c.shape[1:]])))


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _pooled(kind: str) -> Rule:
    def rule(c: _Context) -> str:
        kernel = _pair(c.argument(1, "kernel_size"))
        stride, padding = c.argument(2, "stride"), _pair(c.argument(3, "padding", 0))
        ceil_mode = int(bool(c.argument(5 if kind == "MaxPool" else 4, "ceil_mode", False)))
        last = {"count_include_pad": _counts_padding(c, any(padding), ceil_mode)} if kind == "AveragePool" else {}
        if kind == "MaxPool" and c.argument(4, "dilation", 1) not in (1, [1, 1]):
            raise NetworkError("dilated pooling has no ONNX rule; export as safetensors or torch")
        return str(
            c.node(
                kind, c.x, kernel_shape=kernel, strides=_pair(stride or kernel), pads=[*padding, *padding],
                ceil_mode=ceil_mode, **last,
            )
        )  # fmt: skip

    return rule


def _counts_padding(c: _Context, padded: bool, ceil_mode: int) -> int:
    """Whether averages count zeros around the image."""
    counts = padded and bool(c.argument(5, "count_include_pad", True))
    if c.argument(6, "divisor_override") is not None or (counts and ceil_mode):
        raise NetworkError(
            "pooling with a divisor of its own, or with ceil_mode over counted padding, has no ONNX rule"
        )
    return int(counts)


def _adaptively_pooled(kind: str) -> Rule:
    def rule(c: _Context) -> str:
        if c.shape[2:] == (1, 1):
            return str(c.node(f"Global{kind}", c.x))
        kernel = [size // wanted for size, wanted in zip(c.source[2:], c.shape[2:], strict=True)]
        if any(size % wanted for size, wanted in zip(c.source[2:], c.shape[2:], strict=True)):
            raise NetworkError("adaptive pooling to sizes that do not divide the image has no ONNX rule")
        return str(c.node(kind, c.x, kernel_shape=kernel, strides=kernel))

    return rule


def _reduced(kind: str) -> Rule:
    def rule(c: _Context) -> str:
        dims = c.argument(1, "dim")
        axes = [dim % len(c.source) for dim in (dims if isinstance(dims, list) else [dims])]
        keep = int(bool(c.argument(2, "keepdim", False)))
        if kind == "ReduceSum":
            return str(c.node(kind, c.x, c.integers(axes), keepdims=keep))
        if c.graph.opset >= 18:
            return str(c.node(kind, c.x, c.integers(axes), keepdims=keep))
        return str(c.node(kind, c.x, axes=axes, keepdims=keep))

    return rule


def _paired(kind: str) -> Rule:
    def rule(c: _Context) -> str:
        more = c.kwargs.keys() - {"input", "other"}
        if more:
            raise NetworkError(
                f"{kind} with {min(more)!r} has no ONNX rule; leave it out or export as safetensors or torch"
            )
        return str(c.node(kind, c.number(c.argument(0, "input")), c.number(c.argument(1, "other"))))

    return rule


def _clipped(low: Any, high: Any) -> Rule:
    """Bounds are numbers, or (position, name, default) of an argument."""

    def rule(c: _Context) -> str:
        found = [c.argument(*bound) if isinstance(bound, tuple) else bound for bound in (low, high)]
        return str(c.node("Clip", c.x, *("" if value is None else c.graph.constant(value) for value in found)))

    return rule


def _hard_swished(c: _Context) -> str:
    return str(c.node("Div", c.node("Mul", c.x, c.graph.clipped(_plus_three(c), 0.0, 6.0)), c.number(6.0)))


def _hard_sigmoided(c: _Context) -> str:
    return str(c.node("Div", c.graph.clipped(_plus_three(c), 0.0, 6.0), c.number(6.0)))


def _plus_three(c: _Context) -> str:
    return str(c.node("Add", c.x, c.number(3.0)))


def _gelu(c: _Context) -> str:
    if c.argument(1, "approximate", "none") != "none":
        raise NetworkError("approximate GELU has no ONNX rule; use the exact one")
    erf = c.node("Erf", c.graph.scaled(c.x, 0.5**0.5))
    return str(c.node("Mul", c.graph.scaled(c.x, 0.5), c.node("Add", erf, c.number(1.0))))


def _resized(c: _Context) -> str:
    mode = str(c.argument(3, "mode", "nearest"))
    if mode not in ("nearest", "bilinear") or c.argument(6, "antialias", False):
        raise NetworkError("interpolation other than nearest and bilinear has no ONNX rule")
    sizes = [*zip(c.source[2:], c.shape[2:], strict=True)]
    if mode == "nearest" and any(out % size for size, out in sizes):
        return _picked(c)
    aligned = "align_corners" if c.argument(4, "align_corners", None) else "half_pixel"
    where = {"coordinate_transformation_mode": aligned if mode == "bilinear" else "asymmetric"}
    factors = c.argument(2, "scale_factor")
    if factors is None or c.argument(5, "recompute_scale_factor", False):
        scales = [_scale(size, out) for size, out in sizes]
    else:
        scales = factors if isinstance(factors, list) else [factors, factors]
    kind = "linear" if mode == "bilinear" else "nearest"
    return str(c.node("Resize", c.x, "", c.graph.constant([1, 1, *scales]), mode=kind, nearest_mode="floor", **where))


def _scale(size: int, out: int) -> np.float32:
    """A float32 factor by which a runtime, which rounds down, makes ``out`` positions of ``size``."""
    scale = np.float32(out / size)
    return scale if int(np.float32(size) * scale) == out else np.nextafter(scale, np.float32(np.inf))


def _picked(c: _Context) -> str:
    """Nearest pixels as PyTorch picks them, which runtimes do by other roundings where factors are not whole."""
    keys = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
    given = {key: c.argument(i, key) for i, key in enumerate(keys, 1)}
    rows, columns = (torch.arange(size, dtype=torch.float32) for size in c.source[2:])
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
    picked = functional.interpolate(grid, **{**given, "mode": "nearest"})[0].long()
    x = c.node("Gather", c.x, c.integers(picked[0, :, 0].numpy()), axis=2)
    return str(c.node("Gather", x, c.integers(picked[1, 0].numpy()), axis=3))


def _batch_normed(c: _Context) -> str:
    parts = [c.tensor(name) for name in ("weight", "bias", "running_mean", "running_var")]
    return str(c.node("BatchNormalization", c.x, *parts, epsilon=c.config["eps"]))


def _layer_normed(c: _Context) -> str:
    shape, eps = c.argument(1, "normalized_shape"), c.argument(4, "eps", 1e-5)
    if "module" in c.call.settings:
        parts = [c.tensor(name) for name in ("weight", "bias") if name in c.call.tensors]
    else:
        parts = [part for part in (c.argument(2, "weight"), c.argument(3, "bias")) if part is not None]
    parts = parts or [c.graph.constant(np.ones(shape))]
    return str(c.node("LayerNormalization", c.x, *parts, axis=-len(shape), epsilon=eps))


def _group_normed(c: _Context) -> str:
    groups, size = int(c.argument(1, "num_groups")), int(np.prod(c.source[1:]))
    rows = c.node("Reshape", c.x, c.integers([0, groups, -1]))
    ones = c.graph.constant(np.ones(size // groups))
    rows = c.node("LayerNormalization", rows, ones, axis=-1, epsilon=c.argument(4, "eps", 1e-5))
    x = c.node("Reshape", rows, c.integers([0, *c.source[1:]]))
    for kind, position, name in (("Mul", 2, "weight"), ("Add", 3, "bias")):
        held = _per_channel(c, position, name)
        x = x if held is None else c.node(kind, x, held)
    return str(x)


def _per_channel(c: _Context, position: int, name: str) -> str | None:
    """A module's tensor or a function's argument of one value a channel, in a shape that fits the channels."""
    if "module" in c.call.settings:
        held = c.tensor(name) if name in c.call.tensors else None
    else:
        held = c.argument(position, name)
    return None if held is None else str(c.node("Reshape", held, c.integers([-1, *[1] * (len(c.source) - 2)])))


def _softplus(c: _Context) -> str:
    beta = float(c.argument(1, "beta", 1.0))
    if beta == 1.0:
        return str(c.node("Softplus", c.x))
    return str(c.graph.scaled(c.node("Softplus", c.graph.scaled(c.x, beta)), 1.0 / beta))


def _linear(c: _Context) -> str:
    product = c.node("MatMul", c.x, c.graph.constant(c.held("weight").numpy().T))
    return str(c.node("Add", product, c.tensor("bias"))) if "bias" in c.call.tensors else str(product)


def _convolved(kind: str) -> Rule:
    def rule(c: _Context) -> str:
        padding = c.config["padding"]
        if isinstance(padding, str) or c.config.get("padding_mode", "zeros") != "zeros":
            raise NetworkError(f"{kind} with padding {padding!r} has no ONNX rule; pad by numbers of zeros")
        more = {"output_padding": list(c.config["output_padding"])} if kind == "ConvTranspose" else {}
        parts = [c.tensor(name) for name in ("weight", "bias") if name in c.call.tensors]
        return str(
            c.node(
                kind, c.x, *parts, pads=[*padding, *padding], strides=list(c.config["stride"]),
                dilations=list(c.config["dilation"]), group=c.config["groups"], **more,
            )
        )  # fmt: skip

    return rule


def _padded(c: _Context) -> str:
    mode = c.argument(2, "mode", "constant")
    if mode == "circular":
        raise NetworkError("circular padding has no ONNX rule; export as safetensors or torch")
    if mode != "constant":
        return str(c.node("Pad", c.x, _onnx_pads(c), mode={"replicate": "edge"}.get(mode, mode)))
    return c.graph.padded(c.record.inputs[0], c.argument(1, "pad"), c.argument(3, "value", 0) or 0)


def _onnx_pads(c: _Context) -> str:
    pads, dims = c.argument(1, "pad"), len(c.shape)
    before, after = [0] * dims, [0] * dims
    for i in range(len(pads) // 2):
        before[dims - 1 - i], after[dims - 1 - i] = pads[2 * i], pads[2 * i + 1]
    return c.integers([*before, *after])


_RULES: dict[str, Rule] = {
    "cat": _concatenated, "reshape": _reshaped, "permute": _permuted, "transpose": _transposed, "split": _split,
    "getitem": _got, "expand": _expanded,
    "index_select": lambda c: c.node("Gather", c.x, c.argument(2, "index"), axis=int(c.argument(1, "dim"))),
    "repeat": lambda c: c.node("Tile", c.x, c.integers(c.args[1] if isinstance(c.args[1], list) else c.args[1:])),
    "pixel_shuffle": lambda c: c.node(
        "DepthToSpace", c.x, blocksize=int(c.argument(1, "upscale_factor")), mode="CRD"
    ),
    "identity": lambda c: c.node("Identity", c.x),
    "pad": _padded, "max_pool2d": _pooled("MaxPool"), "avg_pool2d": _pooled("AveragePool"),
    "adaptive_avg_pool2d": _adaptively_pooled("AveragePool"), "adaptive_max_pool2d": _adaptively_pooled("MaxPool"),
    "mean": _reduced("ReduceMean"), "sum": _reduced("ReduceSum"), "amax": _reduced("ReduceMax"),
    "add": _paired("Add"), "sub": _paired("Sub"), "mul": _paired("Mul"), "div": _paired("Div"),
    "matmul": _paired("MatMul"), "maximum": _paired("Max"), "minimum": _paired("Min"),
    "relu": lambda c: c.node("Relu", c.x), "relu6": _clipped(0.0, 6.0),
    "hardtanh": _clipped((1, "min_val", -1.0), (2, "max_val", 1.0)), "clamp": _clipped((1, "min"), (2, "max")),
    "hardswish": _hard_swished, "hardsigmoid": _hard_sigmoided,
    "sigmoid": lambda c: c.node("Sigmoid", c.x), "tanh": lambda c: c.node("Tanh", c.x),
    "silu": lambda c: c.node("Mul", c.x, c.node("Sigmoid", c.x)), "gelu": _gelu,
    "leaky_relu": lambda c: c.node("LeakyRelu", c.x, alpha=float(c.argument(1, "negative_slope", 0.01))),
    "elu": lambda c: c.node("Elu", c.x, alpha=float(c.argument(1, "alpha", 1.0))),
    "softplus": _softplus, "prelu": lambda c: c.node("PRelu", c.x, str(_per_channel(c, 1, "weight"))),
    "neg": lambda c: c.node("Neg", c.x), "abs": lambda c: c.node("Abs", c.x), "sqrt": lambda c: c.node("Sqrt", c.x),
    "exp": lambda c: c.node("Exp", c.x), "log": lambda c: c.node("Log", c.x),
    "log_softmax": lambda c: c.node("LogSoftmax", c.x, axis=int(c.argument(1, "dim"))),
    "softmax": lambda c: c.node("Softmax", c.x, axis=int(c.argument(1, "dim"))),
    "interpolate": _resized, "batch_norm": _batch_normed, "layer_norm": _layer_normed,
    "group_norm": _group_normed, "linear": _linear,
    "conv": _convolved("Conv"), "conv_transpose": _convolved("ConvTranspose"),
}  # fmt: skip

_SAME_AS = {
    "concat": "cat", "concatenate": "cat", "view": "reshape", "flatten": "reshape", "unflatten": "reshape",
    "squeeze": "reshape", "unsqueeze": "reshape", "swapaxes": "transpose", "chunk": "split",
    "split_with_sizes": "split", "unsafe_split": "split", "unsafe_chunk": "split", "tile": "repeat",
    "contiguous": "identity", "clone": "identity", "detach": "identity", "alias": "identity", "float": "identity",
    "dropout": "identity", "iadd": "add", "isub": "sub", "imul": "mul", "truediv": "div", "itruediv": "div",
    "clip": "clamp", "upsample": "interpolate",
    **{kind.__name__: name for kind, name in (
        (nn.Identity, "identity"), (nn.Dropout, "identity"), (nn.Dropout2d, "identity"), (nn.Flatten, "reshape"),
        (nn.Unflatten, "reshape"), (nn.PixelShuffle, "pixel_shuffle"), (nn.MaxPool2d, "max_pool2d"),
        (nn.AvgPool2d, "avg_pool2d"), (nn.AdaptiveAvgPool2d, "adaptive_avg_pool2d"),
        (nn.AdaptiveMaxPool2d, "adaptive_max_pool2d"), (nn.ReLU, "relu"), (nn.ReLU6, "relu6"),
        (nn.Hardtanh, "hardtanh"), (nn.Hardswish, "hardswish"), (nn.Hardsigmoid, "hardsigmoid"),
        (nn.Sigmoid, "sigmoid"), (nn.Tanh, "tanh"), (nn.SiLU, "silu"), (nn.GELU, "gelu"), (nn.ELU, "elu"),
        (nn.LeakyReLU, "leaky_relu"), (nn.Softplus, "softplus"), (nn.Softmax, "softmax"),
        (nn.Upsample, "interpolate"), (nn.UpsamplingNearest2d, "interpolate"), (nn.BatchNorm1d, "batch_norm"),
        (nn.BatchNorm2d, "batch_norm"),
        (nn.LayerNorm, "layer_norm"), (nn.GroupNorm, "group_norm"), (nn.PReLU, "prelu"),
        (nn.LogSoftmax, "log_softmax"), (nn.Linear, "linear"), (nn.Conv2d, "conv"),
        (nn.ConvTranspose2d, "conv_transpose"),
    )},
}  # fmt: skip
"""Functions, methods and modules that share a rule."""

_INEXACT = frozenset({
    "avg_pool2d", "adaptive_avg_pool2d", "mean", "sum", "matmul", "sigmoid", "tanh", "silu", "gelu", "elu", "softplus",
    "softmax", "log_softmax", "exp", "log", "interpolate", "batch_norm", "layer_norm", "group_norm", "linear", "conv",
    "conv_transpose",
})  # fmt: skip
"""Rules whose nodes onnxruntime sums in another order, or computes by another approximation, than PyTorch."""
