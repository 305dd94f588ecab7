"""ONNX nodes of what only moves elements, or puts constants around them."""

from typing import Any

import torch

from rlcompress.errors import NetworkError
from rlcompress.export.onnx_context import Context, Rule
from rlcompress.export.onnx_graph import onnx_pads


def _concatenated(c: Context) -> str:
    return str(c.node("Concat", *c.args[0], axis=int(c.argument(1, "dim", 0))))


def _reshaped(c: Context) -> str:
    return str(c.node("Reshape", c.x, c.integers([-1, *c.shape[1:]])))


def _permuted(c: Context) -> str:
    dims = c.argument(1, "dims")
    order = dims if isinstance(dims, list) else c.args[1:]
    return str(c.node("Transpose", c.x, perm=[i % len(c.shape) for i in order]))


def _transposed(c: Context) -> str:
    order = list(range(len(c.shape)))
    named = [c.kwargs[key] for key in ("dim0", "axis0", "dim1", "axis1") if key in c.kwargs]
    a, b = (int(dim) % len(order) for dim in [*c.args[1:], *named])
    order[a], order[b] = order[b], order[a]
    return str(c.node("Transpose", c.x, perm=order))


def _split(c: Context) -> Any:
    axis = int(c.argument(2, "dim", 0))
    sizes = [shape[axis] for shape in c.shape]
    names = c.node("Split", c.x, c.integers(sizes), axis=axis, outputs=len(sizes))
    return [names] if len(sizes) == 1 else names


def _got(c: Context) -> Any:
    """An element of a tuple, or a part of a tensor."""
    if isinstance(c.x, list):
        return c.x[c.args[1]]
    index = list(c.args[1]) if isinstance(c.args[1], list) else [c.args[1]]
    if Ellipsis in index:
        at = index.index(Ellipsis)
        index[at : at + 1] = [slice(None)] * (len(c.source) + 1 - len(index))
    if not all(isinstance(part, slice | int) for part in index):
        raise NetworkError("indexing by anything but numbers and slices has no ONNX rule; use torch.index_select")
    ranges, single = list[tuple[int, int, int, int]](), list[int]()
    for axis, part in enumerate(index):
        if isinstance(part, int):
            single.append(axis)
            ranges.append((axis, *_one(part, c.source[axis])))
        elif part != slice(None):
            ranges.append((axis, *part.indices(c.source[axis])))
    x = _sliced(c, c.x, *ranges) if ranges else str(c.node("Identity", c.x))
    return c.node("Squeeze", x, c.integers(single)) if single else x


def _one(position: int, size: int) -> tuple[int, int, int]:
    """Start, end and step of a single element."""
    start = position % size
    return start, start + 1, 1


def _sliced(c: Context, x: str, *ranges: tuple[int, int, int, int]) -> str:
    """Parts of a tensor, each an axis with start, end and step."""
    axes, starts, ends, steps = zip(*ranges, strict=True)
    return str(c.node("Slice", x, *(c.integers(values) for values in (starts, ends, axes, steps))))


def _part(c: Context) -> str:
    """`torch.ops.aten.slice`, of an axis."""
    axis = int(c.argument(1, "dim", 0)) % len(c.source)
    part = slice(c.argument(2, "start"), c.argument(3, "end"), c.argument(4, "step", 1))
    return _sliced(c, c.x, (axis, *part.indices(c.source[axis])))


def _narrowed(c: Context) -> str:
    axis = int(c.argument(1, "dim")) % len(c.source)
    start = int(c.argument(2, "start")) % c.source[axis]
    return _sliced(c, c.x, (axis, start, start + int(c.argument(3, "length")), 1))


def _selected(c: Context) -> str:
    axis = int(c.argument(1, "dim")) % len(c.source)
    x = _sliced(c, c.x, (axis, *_one(int(c.argument(2, "index")), c.source[axis])))
    return str(c.node("Squeeze", x, c.integers([axis])))


def _unbound(c: Context) -> list[str]:
    axis = int(c.argument(1, "dim", 0)) % len(c.source)
    parts = [_sliced(c, c.x, (axis, *_one(i, c.source[axis]))) for i in range(c.source[axis])]
    return [str(c.node("Squeeze", part, c.integers([axis]))) for part in parts]


def _stacked(c: Context) -> str:
    axis = int(c.argument(1, "dim", 0)) % len(c.shape)
    parts = [c.node("Unsqueeze", part, c.integers([axis])) for part in c.args[0]]
    return str(c.node("Concat", *parts, axis=axis))


def _flipped(c: Context) -> str:
    given = c.argument(1, "dims")
    dims = given if isinstance(given, list) else list(c.args[1:])
    return _sliced(c, c.x, *((dim % len(c.source), -1, -(2**31), -1) for dim in dims))


def _moved_dims(c: Context) -> str:
    ends = (c.argument(1, "source"), c.argument(2, "destination"))
    labels = torch.empty(*range(1, len(c.shape) + 1)).movedim(*ends)  # of sizes that tell the dimensions apart
    return str(c.node("Transpose", c.x, perm=[size - 1 for size in labels.shape]))


def _regrouped(c: Context, between: list[int], order: list[int]) -> str:
    """Elements moved by a transposition between two shapes of more dimensions."""
    x = c.node("Transpose", c.node("Reshape", c.x, c.integers([-1, *between])), perm=order)
    return str(c.node("Reshape", x, c.integers([-1, *c.shape[1:]])))


def _shuffled(c: Context) -> str:
    channels, *sizes = c.source[1:]
    groups = int(c.argument(1, "groups"))
    rest = range(3, 3 + len(sizes))
    return _regrouped(c, [groups, channels // groups, *sizes], [0, 2, 1, *rest])


def _unshuffled(c: Context) -> str:
    channels, height, width = c.source[1:]
    r = int(c.argument(1, "downscale_factor"))
    return _regrouped(c, [channels, height // r, r, width // r, r], [0, 1, 3, 5, 2, 4])


def _expanded(c: Context) -> str:
    return str(c.node("Expand", c.x, c.integers([1, *c.shape[1:]])))


def _padded(c: Context) -> str:
    mode = str(c.argument(2, "mode", "constant"))
    return _with_pads(c, list(c.argument(1, "pad")), mode, c.argument(3, "value", 0) or 0)


def _padded_by(mode: str) -> Rule:
    """Of a module that pads in one way, or its function."""

    def rule(c: Context) -> str:
        pads = c.argument(1, "padding")
        return _with_pads(c, [pads] * 4 if isinstance(pads, int) else list(pads), mode, c.argument(2, "value", 0) or 0)

    return rule


def _with_pads(c: Context, pads: list[int], mode: str, value: float) -> str:
    if mode == "circular":
        raise NetworkError("circular padding has no ONNX rule; export as safetensors or torch")
    if mode == "constant":
        return c.graph.padded(c.record.inputs[0], pads, value)
    return str(
        c.node("Pad", c.x, c.integers(onnx_pads(pads, len(c.shape))), mode={"replicate": "edge"}.get(mode, mode))
    )


MOVES: dict[str, Rule] = {
    "cat": _concatenated, "reshape": _reshaped, "permute": _permuted, "transpose": _transposed, "split": _split,
    "getitem": _got, "slice": _part, "narrow": _narrowed, "select": _selected, "unbind": _unbound, "stack": _stacked,
    "flip": _flipped, "movedim": _moved_dims, "channel_shuffle": _shuffled, "pixel_unshuffle": _unshuffled,
    "expand": _expanded, "identity": lambda c: c.node("Identity", c.x),
    "index_select": lambda c: c.node("Gather", c.x, c.argument(2, "index"), axis=int(c.argument(1, "dim"))),
    "repeat": lambda c: c.node("Tile", c.x, c.integers(c.args[1] if isinstance(c.args[1], list) else c.args[1:])),
    "pixel_shuffle": lambda c: c.node(
        "DepthToSpace", c.x, blocksize=int(c.argument(1, "upscale_factor")), mode="CRD"
    ),
    "pad": _padded, "zero_pad2d": _padded_by("constant"), "constant_pad": _padded_by("constant"),
    "reflection_pad": _padded_by("reflect"), "replication_pad": _padded_by("replicate"),
    "circular_pad": _padded_by("circular"),
}  # fmt: skip
"""Rules by name of what computes nothing."""
