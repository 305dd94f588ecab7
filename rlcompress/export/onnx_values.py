"""ONNX nodes of what computes with real values."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rlcompress.errors import NetworkError
from rlcompress.export.onnx_context import Context, Rule, pair, per_channel


def _pooled(kind: str) -> Rule:
    def rule(c: Context) -> str:
        kernel = pair(c.argument(1, "kernel_size"))
        stride, padding = c.argument(2, "stride"), pair(c.argument(3, "padding", 0))
        ceil_mode = int(bool(c.argument(5 if kind == "MaxPool" else 4, "ceil_mode", False)))
        last = {"count_include_pad": _counts_padding(c, any(padding), ceil_mode)} if kind == "AveragePool" else {}
        if kind == "MaxPool" and c.argument(4, "dilation", 1) not in (1, [1, 1]):
            raise NetworkError("dilated pooling has no ONNX rule; export as safetensors or torch")
        return str(
            c.node(
                kind, c.x, kernel_shape=kernel, strides=pair(stride or kernel), pads=[*padding, *padding],
                ceil_mode=ceil_mode, **last,
            )
        )  # fmt: skip

    return rule


def _counts_padding(c: Context, padded: bool, ceil_mode: int) -> int:
    """Whether averages count zeros around the image."""
    counts = padded and bool(c.argument(5, "count_include_pad", True))
    if c.argument(6, "divisor_override") is not None or (counts and ceil_mode):
        raise NetworkError(
            "pooling with a divisor of its own, or with ceil_mode over counted padding, has no ONNX rule"
        )
    return int(counts)


def _adaptively_pooled(kind: str) -> Rule:
    def rule(c: Context) -> str:
        if c.shape[2:] == (1, 1):
            return str(c.node(f"Global{kind}", c.x))
        kernel = [size // wanted for size, wanted in zip(c.source[2:], c.shape[2:], strict=True)]
        if any(size % wanted for size, wanted in zip(c.source[2:], c.shape[2:], strict=True)):
            raise NetworkError("adaptive pooling to sizes that do not divide the image has no ONNX rule")
        return str(c.node(kind, c.x, kernel_shape=kernel, strides=kernel))

    return rule


def _reduced(kind: str) -> Rule:
    def rule(c: Context) -> str:
        dims = c.argument(1, "dim", None)
        axes = [dim % len(c.source) for dim in (dims if isinstance(dims, list) else [dims])]
        keep = int(bool(c.argument(2, "keepdim", False)))
        if kind == "ReduceSum":
            return str(c.node(kind, c.x, c.integers(axes), keepdims=keep))
        if c.graph.opset >= 18:
            return str(c.node(kind, c.x, c.integers(axes), keepdims=keep))
        return str(c.node(kind, c.x, axes=axes, keepdims=keep))

    return rule


def _paired(kind: str) -> Rule:
    def rule(c: Context) -> str:
        more = c.kwargs.keys() - {"input", "other"}
        if more:
            raise NetworkError(
                f"{kind} with {min(more)!r} has no ONNX rule; leave it out or export as safetensors or torch"
            )
        return str(c.node(kind, c.number(c.argument(0, "input")), c.number(c.argument(1, "other"))))

    return rule


def _clipped(low: Any, high: Any) -> Rule:
    """Bounds are numbers, or (position, name, default) of an argument."""

    def rule(c: Context) -> str:
        found = [c.argument(*bound) if isinstance(bound, tuple) else bound for bound in (low, high)]
        return str(c.node("Clip", c.x, *("" if value is None else c.graph.constant(value) for value in found)))

    return rule


def _hard_swished(c: Context) -> str:
    return str(c.node("Div", c.node("Mul", c.x, c.graph.clipped(_plus_three(c), 0.0, 6.0)), c.number(6.0)))


def _hard_sigmoided(c: Context) -> str:
    return str(c.node("Div", c.graph.clipped(_plus_three(c), 0.0, 6.0), c.number(6.0)))


def _plus_three(c: Context) -> str:
    return str(c.node("Add", c.x, c.number(3.0)))


def _gelu(c: Context) -> str:
    if c.argument(1, "approximate", "none") != "none":
        raise NetworkError("approximate GELU has no ONNX rule; use the exact one")
    erf = c.node("Erf", c.graph.scaled(c.x, 0.5**0.5))
    return str(c.node("Mul", c.graph.scaled(c.x, 0.5), c.node("Add", erf, c.number(1.0))))


def _resized(c: Context) -> str:
    if c.argument(6, "antialias", False):
        raise NetworkError("interpolation with antialias has no ONNX rule; export as safetensors or torch")
    factors = None if c.argument(5, "recompute_scale_factor", False) else c.argument(2, "scale_factor")
    return _resize(c, str(c.argument(3, "mode", "nearest")), bool(c.argument(4, "align_corners", False)), factors)


def _resized_by_corners(c: Context) -> str:
    return _resize(c, "bilinear", True, c.argument(2, "scale_factor"))


def _upsampled(mode: str) -> Rule:
    """`torch.ops.aten.upsample_...2d.vec`, whose arguments stand in another order."""

    def rule(c: Context) -> str:
        bilinear = mode == "bilinear"
        return _resize(
            c, mode, bilinear and bool(c.argument(2, "align_corners")), c.argument(2 + bilinear, "scale_factors")
        )

    return rule


def _resize(c: Context, mode: str, aligned: bool, factors: Any) -> str:
    """Interpolation to the size of the output; its factors are those of the sizes where none are given."""
    if mode not in ("nearest", "bilinear"):
        raise NetworkError("interpolation other than nearest and bilinear has no ONNX rule")
    sizes = [*zip(c.source[2:], c.shape[2:], strict=True)]
    if mode == "nearest" and any(out % size for size, out in sizes):
        return _picked(c, factors)
    inner = "align_corners" if aligned else "half_pixel"
    where = {"coordinate_transformation_mode": inner if mode == "bilinear" else "asymmetric"}
    scales = [_scale(size, out) for size, out in sizes] if factors is None else pair(factors)
    kind = "linear" if mode == "bilinear" else "nearest"
    return str(c.node("Resize", c.x, "", c.graph.constant([1, 1, *scales]), mode=kind, nearest_mode="floor", **where))


def _scale(size: int, out: int) -> np.float32:
    """A float32 factor by which a runtime, which rounds down, makes ``out`` positions of ``size``."""
    scale = np.float32(out / size)
    return scale if int(np.float32(size) * scale) == out else np.nextafter(scale, np.float32(np.inf))


def _picked(c: Context, factors: Any) -> str:
    """Nearest pixels as PyTorch picks them, which runtimes do by other roundings where factors are not whole."""
    rows, columns = (torch.arange(size, dtype=torch.float32) for size in c.source[2:])
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
    by = {"size": c.shape[2:]} if factors is None else {"scale_factor": factors}
    picked = functional.interpolate(grid, mode="nearest", **by)[0].long()
    x = c.node("Gather", c.x, c.integers(picked[0, :, 0].numpy()), axis=2)
    return str(c.node("Gather", x, c.integers(picked[1, 0].numpy()), axis=3))


def _softplus(c: Context) -> str:
    beta = float(c.argument(1, "beta", 1.0))
    if beta == 1.0:
        return str(c.node("Softplus", c.x))
    return str(c.graph.scaled(c.node("Softplus", c.graph.scaled(c.x, beta)), 1.0 / beta))


def _normalized(c: Context) -> str:
    if c.argument(1, "p", 2.0) != 2.0:
        raise NetworkError("normalize by another norm than the second has no ONNX rule; export as safetensors or torch")
    axis = int(c.argument(2, "dim", 1))
    axes = (c.integers([axis]),) if c.graph.opset >= 18 else ()
    norm = c.node("ReduceL2", c.x, *axes, keepdims=1, **({} if axes else {"axes": [axis]}))
    return str(c.node("Div", c.x, c.node("Max", norm, c.number(c.argument(3, "eps", 1e-12)))))


def _mish(c: Context) -> str:
    return str(c.node("Mul", c.x, c.node("Tanh", c.node("Softplus", c.x))))


def _thresholded(c: Context) -> str:
    above = c.node("Greater", c.x, c.number(c.argument(1, "threshold")))
    return str(c.node("Where", above, c.x, c.number(c.argument(2, "value"))))


def _shrunk(soft: bool) -> Rule:
    def rule(c: Context) -> str:
        size = float(c.argument(1, "lambd", 0.5))
        return str(c.node("Shrink", c.x, lambd=size, bias=size * soft))

    return rule


VALUES: dict[str, Rule] = {
    "max_pool2d": _pooled("MaxPool"), "avg_pool2d": _pooled("AveragePool"),
    "adaptive_avg_pool2d": _adaptively_pooled("AveragePool"), "adaptive_max_pool2d": _adaptively_pooled("MaxPool"),
    "mean": _reduced("ReduceMean"), "sum": _reduced("ReduceSum"), "amax": _reduced("ReduceMax"),
    "amin": _reduced("ReduceMin"),
    "add": _paired("Add"), "sub": _paired("Sub"), "mul": _paired("Mul"), "div": _paired("Div"),
    "matmul": _paired("MatMul"), "maximum": _paired("Max"), "minimum": _paired("Min"),
    "relu": lambda c: c.node("Relu", c.x), "relu6": _clipped(0.0, 6.0),
    "hardtanh": _clipped((1, "min_val", -1.0), (2, "max_val", 1.0)), "clamp": _clipped((1, "min"), (2, "max")),
    "clamp_min": _clipped((1, "min"), None), "clamp_max": _clipped(None, (1, "max")),
    "hardswish": _hard_swished, "hardsigmoid": _hard_sigmoided, "mish": _mish, "threshold": _thresholded,
    "hardshrink": _shrunk(False), "softshrink": _shrunk(True),
    "sigmoid": lambda c: c.node("Sigmoid", c.x), "tanh": lambda c: c.node("Tanh", c.x),
    "silu": lambda c: c.node("Mul", c.x, c.node("Sigmoid", c.x)), "gelu": _gelu,
    "leaky_relu": lambda c: c.node("LeakyRelu", c.x, alpha=float(c.argument(1, "negative_slope", 0.01))),
    "elu": lambda c: c.node("Elu", c.x, alpha=float(c.argument(1, "alpha", 1.0))),
    "celu": lambda c: c.node("Celu", c.x, alpha=float(c.argument(1, "alpha", 1.0))),
    "selu": lambda c: c.node("Selu", c.x), "softsign": lambda c: c.node("Softsign", c.x),
    "softplus": _softplus, "prelu": lambda c: c.node("PRelu", c.x, str(per_channel(c, 1, "weight"))),
    "neg": lambda c: c.node("Neg", c.x), "abs": lambda c: c.node("Abs", c.x), "sqrt": lambda c: c.node("Sqrt", c.x),
    "exp": lambda c: c.node("Exp", c.x), "log": lambda c: c.node("Log", c.x),
    "square": lambda c: c.node("Mul", c.x, c.x), "reciprocal": lambda c: c.node("Reciprocal", c.x),
    "rsqrt": lambda c: c.node("Reciprocal", c.node("Sqrt", c.x)),
    "pow": lambda c: c.node("Pow", c.number(c.x), c.number(c.argument(1, "exponent"))),
    "log_softmax": lambda c: c.node("LogSoftmax", c.x, axis=int(c.argument(1, "dim"))),
    "softmax": lambda c: c.node("Softmax", c.x, axis=int(c.argument(1, "dim"))),
    "interpolate": _resized, "interpolate_by_corners": _resized_by_corners,
    "upsample_nearest2d": _upsampled("nearest"), "upsample_bilinear2d": _upsampled("bilinear"),
    "normalize": _normalized,
}  # fmt: skip
"""Rules by name of what computes and has no weights, slopes of PReLU aside."""
