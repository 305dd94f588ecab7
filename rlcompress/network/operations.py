"""What the nodes of a torch.fx graph do, by name: the same for functions, methods and torch.export's operators."""

import torch
from torch import fx, nn

VIEW_MODULES = (
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
)  # fmt: skip
"""Modules that compute nothing in evaluation mode."""

POOL_MODULES = (nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)

CLAMP_MODULES = (nn.ReLU, nn.Hardtanh)
"""Modules that only bound values; ReLU6 is a Hardtanh."""

PAD_MODULES = (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d)

PLAIN_MODULES = (
    *VIEW_MODULES, *POOL_MODULES, *CLAMP_MODULES, *PAD_MODULES,
    nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid,
    nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign, nn.Threshold, nn.Hardshrink, nn.Softshrink,
    nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d,
)  # fmt: skip
"""Modules that treat every channel on its own and all alike."""

RESHAPING_MODULES = (nn.Flatten, nn.Unflatten, nn.ChannelShuffle, nn.PixelShuffle, nn.PixelUnshuffle)

POOLS = frozenset({"max_pool2d", "avg_pool2d", "lp_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"})
"""Functions that make an image smaller, channel by channel."""

CLAMPS = frozenset({"relu", "relu6", "hardtanh", "clamp", "clip", "clamp_min", "clamp_max"})
"""Functions that only bound values."""

PLAIN = POOLS | CLAMPS | {
    "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "hardsigmoid", "sigmoid", "tanh",
    "softplus", "softsign", "threshold", "hardshrink", "softshrink", "abs", "neg", "exp", "log", "sqrt", "rsqrt",
    "square", "pow", "reciprocal", "dropout", "dropout2d", "feature_dropout", "alpha_dropout", "float", "to", "type",
    "interpolate", "upsample", "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d",
}  # fmt: skip
"""Functions of one tensor that treat every channel on its own and all alike."""

SUMS = frozenset({"add", "iadd"})
PAIRWISE = SUMS | {"sub", "isub", "mul", "imul", "div", "truediv", "itruediv", "maximum", "minimum"}
"""Functions of two tensors, element by element."""

REDUCTIONS = frozenset({"mean", "sum", "amax", "amin"})

CONCATENATIONS = frozenset({"cat", "concat", "concatenate"})

VIEWS = frozenset({
    "view", "reshape", "flatten", "unflatten", "contiguous", "clone", "detach", "alias", "getitem", "pad", "dropout",
    "permute", "transpose", "swapaxes", "movedim", "squeeze", "unsqueeze", "chunk", "split", "split_with_sizes",
    "unsafe_chunk", "unsafe_split", "narrow", "slice", "expand", "expand_as", "channel_shuffle", "index_select",
    "view_as", "reshape_as", "dropout2d", "feature_dropout", "alpha_dropout", "float", "to", "zero_pad2d",
})  # fmt: skip
"""Functions that compute nothing: their result's values are their first argument's, or zero."""

RESHAPING = VIEWS - PLAIN - {"pad"} | {
    "pixel_shuffle", "pixel_unshuffle", "roll", "flip", "unbind", "select", "stack", "repeat", "tile",
}  # fmt: skip
"""Functions that only move elements; they can be run on the elements' labels."""


def operation(node: fx.Node) -> str:
    """Name of a function or method without the underscore of in-place variants; empty for other nodes.

    >>> graph = fx.symbolic_trace(lambda x: torch.relu_(x).flatten(1)).graph
    >>> [operation(node) for node in graph.nodes]
    ['', 'relu', 'flatten', '']
    """
    if node.op == "call_method":
        return str(node.target).rstrip("_")
    if node.op != "call_function":
        return ""
    packet = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(packet, "__name__", packet)).rstrip("_")


def argument(node: fx.Node, position: int, name: str, default: object) -> object:
    """An argument given by position or by name; plain values that the graph computes are looked up."""
    value = node.args[position] if len(node.args) > position else node.kwargs.get(name, default)
    return value_of(value)


def value_of(value: object) -> object:
    """A literal, or the recorded value of a node that gives a plain number or shape."""
    if isinstance(value, fx.Node):
        return value.meta.get("value")
    return [value_of(part) for part in value] if isinstance(value, list | tuple) else value


def is_tensor(value: object) -> bool:
    """Whether an argument is a node that gives a tensor."""
    return isinstance(value, fx.Node) and value.meta.get("shape") is not None


def reduced_dims(node: fx.Node) -> set[int] | None:
    """Dimensions over which a reduction goes, counted from the front; None where it goes over all of them."""
    source = node.args[0]
    dims = argument(node, 1, "dim", None)
    dims = [dims] if isinstance(dims, int) else dims
    if not dims or not isinstance(dims, list | tuple) or not isinstance(source, fx.Node):
        return None
    return {dim % len(source.meta["shape"]) for dim in dims}


def attribute(graph: fx.GraphModule, node: fx.Node) -> torch.Tensor:
    """The tensor of a ``get_attr`` node."""
    owner, _, name = str(node.target).rpartition(".")
    tensor: torch.Tensor = getattr(graph.get_submodule(owner), name)
    return tensor
