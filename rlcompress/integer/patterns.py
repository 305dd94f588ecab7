"""What the nodes of a stitched network mean to the lowering."""

import math

import torch
from torch import fx, nn

from rlcompress.integer.steps import Window
from rlcompress.network.operations import (
    CONCATENATIONS,
    RESHAPING,
    RESHAPING_MODULES,
    SUMS,
    VIEW_MODULES,
    VIEWS,
    argument,
    operation,
    reduced_dims,
)

_SAME = frozenset(
    {"dropout", "dropout2d", "feature_dropout", "alpha_dropout", "contiguous", "clone", "detach", "alias"}
)
_PADS = frozenset({"pad", "zero_pad2d"})
_CASTS = frozenset({"float", "to"})
_MOVES = (VIEWS | RESHAPING) - _SAME - _PADS - _CASTS
_CLAMPS = {"relu": (0.0, math.inf), "relu6": (0.0, 6.0)}
_WHOLE = (1, (1, 1), [1, 1])


class Patterns:
    """Recognises nodes of one graph.

    Args:
        graph: a network.
        like: those of another network of the same graph, or None.
    """

    def __init__(self, graph: fx.GraphModule, like: "Patterns | None" = None) -> None:
        self._modules = dict(graph.named_modules())
        self._operations: dict[fx.Node, str] = (
            like._operations if like else {node: operation(node) for node in graph.graph.nodes}
        )

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls."""
        return self._modules[str(node.target)] if node.op == "call_module" else None

    def is_same(self, node: fx.Node) -> bool:
        """Whether a node gives its input's values."""
        return isinstance(self.module(node), VIEW_MODULES) or self._operations[node] in _SAME

    def clamp(self, node: fx.Node) -> tuple[float, float] | None:
        """The bounds of ReLU and its kin."""
        module, name = self.module(node), self._operations[node]
        if isinstance(module, nn.Hardtanh):  # ReLU6 as well
            return module.min_val, module.max_val
        if isinstance(module, nn.ReLU):
            return _CLAMPS["relu"]
        if name == "hardtanh":
            low, high = argument(node, 1, "min_val", -1.0), argument(node, 2, "max_val", 1.0)
            return (low, high) if isinstance(low, int | float) and isinstance(high, int | float) else None
        return _CLAMPS.get(name)

    def is_max_pool(self, node: fx.Node) -> bool:
        """Whether a node takes maxima over windows."""
        module = self.module(node)
        if isinstance(module, nn.MaxPool2d):
            return not module.return_indices
        return self._operations[node] == "max_pool2d" and not node.kwargs.get("return_indices", False)

    def is_move(self, node: fx.Node) -> bool:
        """Whether a node only moves elements."""
        return isinstance(self.module(node), RESHAPING_MODULES) or self._operations[node] in _MOVES

    def keeps_channels(self, node: fx.Node) -> bool:
        """Whether a move takes parts of every channel's image."""
        index = node.args[1] if self._operations[node] == "getitem" else None
        return isinstance(index, tuple) and len(index) > 2 and index[:2] == (slice(None), slice(None))

    def zero_pads(self, node: fx.Node) -> tuple[int, ...] | None:
        """The widths of a padding by zeros."""
        module = self.module(node)
        if isinstance(module, nn.ZeroPad2d):
            return tuple(module.padding)
        if self._operations[node] not in _PADS or argument(node, 2, "mode", "constant") != "constant":
            return None
        pads = argument(node, 1, "pad", None)
        literal = isinstance(pads, list) and all(isinstance(width, int) for width in pads)
        return tuple(pads) if literal and not argument(node, 3, "value", 0) else None  # type: ignore[arg-type]

    def is_concatenation(self, node: fx.Node) -> bool:
        """Whether a node joins tensors."""
        return self._operations[node] in CONCATENATIONS

    def summands(self, node: fx.Node) -> tuple[fx.Node, fx.Node] | None:
        """The operands of a sum of two tensors."""
        if self._operations[node] not in SUMS or node.kwargs or len(node.args) != 2:
            return None
        left, right = node.args
        return (left, right) if isinstance(left, fx.Node) and isinstance(right, fx.Node) else None

    def window(self, node: fx.Node) -> Window | None:
        """What a node averages over."""
        module, name = self.module(node), self._operations[node]
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return Window(None) if module.output_size in _WHOLE else None
        if name == "adaptive_avg_pool2d":
            return Window(None) if argument(node, 1, "output_size", None) in _WHOLE else None
        if name == "mean" and len(node.args[0].meta["shape"]) == 4:  # type: ignore[union-attr]
            keeps = bool(argument(node, 2, "keepdim", False))
            return Window(None, keeps) if reduced_dims(node) == {2, 3} else None
        if isinstance(module, nn.AvgPool2d):
            plain = not module.ceil_mode and module.divisor_override is None
            padded = bool(torch.tensor(module.padding).any()) and not module.count_include_pad
            return Window((module.kernel_size, module.stride, module.padding)) if plain and not padded else None
        known = {"kernel_size", "stride", "padding"}
        if name == "avg_pool2d" and len(node.args) <= len(known) + 1 and node.kwargs.keys() <= known:
            return Window(
                (
                    argument(node, 1, "kernel_size", None),
                    argument(node, 2, "stride", None) or None,
                    argument(node, 3, "padding", 0),
                )
            )
        return None
