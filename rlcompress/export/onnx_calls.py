"""PyTorch's functions and modules as ONNX nodes, by their names."""

from typing import Any

from torch import nn

from rlcompress.errors import NetworkError
from rlcompress.export.calls import Call
from rlcompress.export.onnx_context import Context
from rlcompress.export.onnx_graph import OnnxGraph
from rlcompress.export.onnx_layers import LAYERS
from rlcompress.export.onnx_moves import MOVES
from rlcompress.export.onnx_values import VALUES
from rlcompress.export.records import Record
from rlcompress.network.operations import VIEW_MODULES


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
    return _RULES[key](Context(graph, call, record))


_RULES = {**MOVES, **VALUES, **LAYERS}

_FUNCTIONS = {
    "cat": "concat concatenate", "reshape": "view flatten unflatten squeeze unsqueeze", "transpose": "swapaxes",
    "split": "chunk split_with_sizes unsafe_split unsafe_chunk", "repeat": "tile",
    "identity": "contiguous clone detach alias float dropout dropout2d feature_dropout alpha_dropout",
    "add": "iadd", "sub": "isub", "mul": "imul", "div": "truediv itruediv", "matmul": "bmm", "clamp": "clip",
    "interpolate": "upsample",
}  # fmt: skip
_MODULES: dict[str, tuple[type[nn.Module], ...]] = {
    "identity": VIEW_MODULES, "reshape": (nn.Flatten, nn.Unflatten), "pixel_shuffle": (nn.PixelShuffle,),
    "pixel_unshuffle": (nn.PixelUnshuffle,), "channel_shuffle": (nn.ChannelShuffle,),
    "constant_pad": (nn.ZeroPad2d, nn.ConstantPad2d), "reflection_pad": (nn.ReflectionPad2d,),
    "replication_pad": (nn.ReplicationPad2d,), "circular_pad": (nn.CircularPad2d,),
    "max_pool2d": (nn.MaxPool2d,), "avg_pool2d": (nn.AvgPool2d,), "adaptive_avg_pool2d": (nn.AdaptiveAvgPool2d,),
    "adaptive_max_pool2d": (nn.AdaptiveMaxPool2d,), "relu": (nn.ReLU,), "relu6": (nn.ReLU6,),
    "hardtanh": (nn.Hardtanh,), "hardswish": (nn.Hardswish,), "hardsigmoid": (nn.Hardsigmoid,),
    "sigmoid": (nn.Sigmoid,), "tanh": (nn.Tanh,), "silu": (nn.SiLU,), "gelu": (nn.GELU,), "elu": (nn.ELU,),
    "celu": (nn.CELU,), "selu": (nn.SELU,), "mish": (nn.Mish,), "softsign": (nn.Softsign,),
    "threshold": (nn.Threshold,), "hardshrink": (nn.Hardshrink,), "softshrink": (nn.Softshrink,),
    "leaky_relu": (nn.LeakyReLU,), "softplus": (nn.Softplus,), "softmax": (nn.Softmax,),
    "log_softmax": (nn.LogSoftmax,), "prelu": (nn.PReLU,), "interpolate": (nn.Upsample, nn.UpsamplingNearest2d),
    "interpolate_by_corners": (nn.UpsamplingBilinear2d,), "batch_norm": (nn.BatchNorm1d, nn.BatchNorm2d),
    "layer_norm": (nn.LayerNorm,), "group_norm": (nn.GroupNorm,),
    "instance_norm": (nn.InstanceNorm1d, nn.InstanceNorm2d), "linear": (nn.Linear,), "conv": (nn.Conv1d, nn.Conv2d),
    "conv_transpose": (nn.ConvTranspose1d, nn.ConvTranspose2d),
}  # fmt: skip
_SAME_AS = {
    **{name: rule for rule, names in _FUNCTIONS.items() for name in names.split()},
    **{kind.__name__: rule for rule, kinds in _MODULES.items() for kind in kinds},
}
"""Rules of functions, methods and modules of other names."""

_INEXACT = frozenset({
    "avg_pool2d", "adaptive_avg_pool2d", "mean", "sum", "matmul", "sigmoid", "tanh", "silu", "gelu", "elu", "softplus",
    "softmax", "log_softmax", "exp", "log", "pow", "rsqrt", "celu", "selu", "mish", "interpolate",
    "interpolate_by_corners", "upsample_bilinear2d", "batch_norm", "layer_norm", "group_norm", "instance_norm",
    "normalize", "linear", "conv", "conv_transpose",
})  # fmt: skip
"""Rules whose nodes onnxruntime sums in another order, or computes by another approximation, than PyTorch."""
