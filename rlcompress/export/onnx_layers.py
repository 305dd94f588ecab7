"""ONNX nodes of layers: normalisations, convolutions and linear maps on real values."""

import numpy as np

from rlcompress.errors import NetworkError
from rlcompress.export.onnx_context import Context, Rule, per_channel


def _batch_normed(c: Context) -> str:
    parts = [c.tensor(name) for name in ("weight", "bias", "running_mean", "running_var")]
    return str(c.node("BatchNormalization", c.x, *parts, epsilon=c.config["eps"]))


def _layer_normed(c: Context) -> str:
    shape, eps = c.argument(1, "normalized_shape"), c.argument(4, "eps", 1e-5)
    if "module" in c.call.settings:
        parts = [c.tensor(name) for name in ("weight", "bias") if name in c.call.tensors]
    else:
        parts = [part for part in (c.argument(2, "weight"), c.argument(3, "bias")) if part is not None]
    parts = parts or [c.graph.constant(np.ones(shape))]
    return str(c.node("LayerNormalization", c.x, *parts, axis=-len(shape), epsilon=eps))


def _group_normed(c: Context) -> str:
    groups, size = int(c.argument(1, "num_groups")), int(np.prod(c.source[1:]))
    rows = c.node("Reshape", c.x, c.integers([0, groups, -1]))
    ones = c.graph.constant(np.ones(size // groups))
    rows = c.node("LayerNormalization", rows, ones, axis=-1, epsilon=c.argument(4, "eps", 1e-5))
    x = c.node("Reshape", rows, c.integers([0, *c.source[1:]]))
    for kind, position, name in (("Mul", 2, "weight"), ("Add", 3, "bias")):
        held = per_channel(c, position, name)
        x = x if held is None else c.node(kind, x, held)
    return str(x)


def _linear(c: Context) -> str:
    product = c.node("MatMul", c.x, c.graph.constant(c.held("weight").numpy().T))
    return str(c.node("Add", product, c.tensor("bias"))) if "bias" in c.call.tensors else str(product)


def _convolved(kind: str) -> Rule:
    def rule(c: Context) -> str:
        mode = c.config.get("padding_mode", "zeros")
        if mode != "zeros":
            raise NetworkError(
                f"{kind} with padding {mode!r} has no ONNX rule; pad by zeros, or before it by functional.pad"
            )
        before, after = _pads(c)
        more = {"output_padding": list(c.config["output_padding"])} if kind == "ConvTranspose" else {}
        parts = [c.tensor(name) for name in ("weight", "bias") if name in c.call.tensors]
        return str(
            c.node(
                kind, c.x, *parts, pads=[*before, *after], strides=list(c.config["stride"]),
                dilations=list(c.config["dilation"]), group=c.config["groups"], **more,
            )
        )  # fmt: skip

    return rule


def _pads(c: Context) -> tuple[list[int], list[int]]:
    """Zeros before and after every dimension of a convolution's images."""
    padding = c.config["padding"]
    if not isinstance(padding, str):
        return list(padding), list(padding)
    reach = [d * (k - 1) for d, k in zip(c.config["dilation"], c.config["kernel_size"], strict=True)]
    zeros = reach if padding == "same" else [0] * len(reach)
    return [n // 2 for n in zeros], [n - n // 2 for n in zeros]


def _instance_normed(c: Context) -> str:
    if "running_mean" in c.call.tensors:
        return _batch_normed(c)
    ones = np.ones(c.source[1])
    parts = [
        c.tensor(n) if n in c.call.tensors else c.graph.constant(of) for n, of in (("weight", ones), ("bias", 0 * ones))
    ]
    return str(c.node("InstanceNormalization", c.x, *parts, epsilon=c.config["eps"]))


LAYERS: dict[str, Rule] = {
    "batch_norm": _batch_normed, "layer_norm": _layer_normed, "group_norm": _group_normed,
    "instance_norm": _instance_normed, "linear": _linear, "conv": _convolved("Conv"),
    "conv_transpose": _convolved("ConvTranspose"),
}  # fmt: skip
"""Rules by name."""
