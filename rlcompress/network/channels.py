"""Which output channels of a network can only be removed together.

Every tensor's channels get numbers; sums give equal numbers to the channels that meet, so that channels with one
number (a *class*) are removed together or not at all. Zero padding of channels (He et al.'s option-A shortcut)
meets anything. The dependency analysis follows the idea of DepGraph (Fang et al., CVPR 2023) at channel level.
"""

import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import fx, nn

_ZERO = -1  # a channel that holds zeros only

Channels = NDArray[np.int64]

_ELEMENTWISE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.Identity, nn.Dropout, nn.Dropout2d, nn.MaxPool2d, nn.AvgPool2d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
_ELEMENTWISE_FUNCTIONS = (
    F.relu, torch.relu, F.relu6, F.hardtanh, F.dropout, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d,
    F.adaptive_max_pool2d,
)  # fmt: skip
_ELEMENTWISE_METHODS = ("relu", "relu_", "contiguous", "clone", "detach")
ADD_FUNCTIONS = (operator.add, operator.iadd, torch.add)


@dataclass
class ChannelClasses:
    """Channel numbers of every node's output and which of them may be removed.

    Attributes:
        of: node -> [K] class of each channel of dimension 1; -1 where the channel is always zero.
        pinned: classes that cannot be removed.
    """

    of: dict[fx.Node, Channels] = field(default_factory=dict)
    pinned: set[int] = field(default_factory=set)


def channel_classes(graph: fx.GraphModule) -> ChannelClasses:
    """Find the channel classes of a graph with recorded shapes (see `rlcompress.network.graph.folded_graph`)."""
    return _Propagation(graph).run()


class _Propagation:
    def __init__(self, graph: fx.GraphModule) -> None:
        self.nodes = list(graph.graph.nodes)
        self.modules = dict(graph.named_modules())
        self.parent: list[int] = []
        self.of: dict[fx.Node, Channels] = {}
        self.pinned: list[int] = []

    def run(self) -> ChannelClasses:
        for node in self.nodes:
            self.of[node] = self._channels(node)
        classes = {node: np.array([self._root(i) for i in channels], np.int64) for node, channels in self.of.items()}
        return ChannelClasses(of=classes, pinned={self._root(i) for i in self.pinned})

    def _channels(self, node: fx.Node) -> Channels:
        if node.op in ("placeholder", "get_attr", "output"):
            return self._opaque(node)
        if node.meta["plain"]:
            return self._fresh(0)
        if node.op == "call_module":
            return self._of_module(node, self.modules[str(node.target)])
        if node.op == "call_function" and node.target in ADD_FUNCTIONS and self._is_tensor_sum(node):
            return self._of_sum(node)
        if node.op == "call_function" and node.target in _ELEMENTWISE_FUNCTIONS:
            return self._input(node)
        if node.op == "call_method" and node.target in _ELEMENTWISE_METHODS:
            return self._input(node)
        shaped = self._of_reshaping(node)
        return self._opaque(node) if shaped is None else shaped

    def _of_module(self, node: fx.Node, module: nn.Module) -> Channels:
        if isinstance(module, nn.Conv2d):
            if module.groups == 1:
                return self._fresh(module.out_channels)
            if module.groups == module.in_channels == module.out_channels:
                channels = self._input(node)  # a channel of zeros gets a bias here
                return np.where(channels == _ZERO, self._fresh(len(channels)), channels)
            return self._opaque(node)
        if isinstance(module, nn.Linear) and len(node.meta["shape"]) == 2:
            return self._fresh(module.out_features)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            return self._opaque(node)  # a removed channel would leave BatchNorm's shift behind
        if isinstance(module, nn.Flatten):
            return self._flattened(node)
        return self._input(node) if isinstance(module, _ELEMENTWISE_MODULES) else self._opaque(node)

    def _of_reshaping(self, node: fx.Node) -> Channels | None:
        """Channels after concatenation, padding, slicing, flattening or a mean; None for any other operation."""
        if node.target in (torch.cat, torch.concat) and _argument(node, 1, "dim", 0) == 1:
            return np.concatenate([self.of[part] for part in node.all_input_nodes])
        if node.target is F.pad and _argument(node, 2, "mode", "constant") == "constant":
            return self._padded(node)
        if node.target is operator.getitem and _keeps_channels(node.args[1]):
            return self._input(node)
        if node.target in (torch.flatten, "flatten", "view", "reshape", torch.reshape):
            return self._flattened(node)
        if node.target in ("mean", torch.mean) and _argument(node, 1, "dim", None) in (
            (2, 3),
            [2, 3],
            (-2, -1),
            [-2, -1],
        ):
            return self._input(node)
        return None

    def _input(self, node: fx.Node) -> Channels:
        return self.of[node.args[0]]  # type: ignore[index]

    def _is_tensor_sum(self, node: fx.Node) -> bool:
        parts = [part for part in node.args if isinstance(part, fx.Node)]
        return len(parts) == 2 and len(self.of[parts[0]]) == len(self.of[parts[1]])

    def _of_sum(self, node: fx.Node) -> Channels:
        left, right = (self.of[part] for part in node.args)  # type: ignore[index]
        for a, b in zip(left, right, strict=True):
            if _ZERO not in (a, b):
                self.parent[self._root(a)] = self._root(b)
        return np.where(left == _ZERO, right, left)

    def _padded(self, node: fx.Node) -> Channels:
        pads: list[int] = list(_argument(node, 1, "pad", ()))
        dims = len(node.meta["shape"])
        before, after = pads[2 * (dims - 2) : 2 * (dims - 1)] or (0, 0)
        value = _argument(node, 3, "value", 0) or 0
        if value != 0 or min(before, after) < 0:
            return self._opaque(node)
        return np.pad(self._input(node), (before, after), constant_values=_ZERO)

    def _flattened(self, node: fx.Node) -> Channels:
        channels, shape = self._input(node), node.meta["shape"]
        if shape is None or len(shape) < 2 or len(channels) == 0 or shape[1] % len(channels):
            return self._opaque(node)
        source = node.args[0].meta["shape"]  # type: ignore[union-attr]
        if shape[0] != source[0] or (len(shape) > 2 and shape[1] != source[1]):
            return self._opaque(node)
        return np.repeat(channels, shape[1] // len(channels))

    def _opaque(self, node: fx.Node) -> Channels:
        """Channels of an operation that is not understood: nothing that enters or leaves it may be removed."""
        for part in node.all_input_nodes:
            self.pinned.extend(i for i in self.of[part] if i != _ZERO)
        shape = node.meta.get("shape")
        fresh = self._fresh(shape[1] if shape and len(shape) >= 2 else 0)
        self.pinned.extend(fresh)
        return fresh

    def _fresh(self, count: int) -> Channels:
        start = len(self.parent)
        self.parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def _root(self, i: int) -> int:
        if i == _ZERO:
            return _ZERO
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i


def _argument(node: fx.Node, position: int, name: str, default: Any) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def _keeps_channels(index: object) -> bool:
    """Whether an index takes all of the first two dimensions."""
    return isinstance(index, tuple) and all(part == slice(None) for part in index[:2]) and len(index) > 2
