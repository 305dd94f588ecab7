"""Which output channels of a network can only be removed together.

Every tensor's channels get numbers; where tensors meet element by element, the channels that meet get equal numbers,
so that channels with one number (a *class*) are removed together or not at all. Removing a class is always safe once
no weight reads it, whatever activation functions, BatchNorms or sums its values go through on the way. Operations that
only move elements (views, shuffles, splits) are run on the elements' numbers. The dependency analysis follows the idea
of DepGraph (Fang et al., CVPR 2023) at channel level.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from rlcompress.network.operations import (
    CONCATENATIONS,
    PAIRWISE,
    PLAIN,
    PLAIN_MODULES,
    REDUCTIONS,
    RESHAPING,
    RESHAPING_MODULES,
    argument,
    attribute,
    is_tensor,
    operation,
    reduced_dims,
    value_of,
)

Channels = NDArray[np.int64]


@dataclass
class ChannelClasses:
    """Channel numbers of every node's output and which of them may be removed.

    Attributes:
        of: node -> [K] class of each channel of dimension 1; empty where dimension 1 does not hold whole channels.
        pinned: classes that cannot be removed.
        calls: module name -> how often the graph calls it or takes a tensor of its.
    """

    of: dict[fx.Node, Channels]
    pinned: set[int]
    calls: Counter[str]


def channel_classes(graph: fx.GraphModule) -> ChannelClasses:
    """Find the channel classes of a graph with recorded shapes (see `rlcompress.network.graph.record_shapes`)."""
    return _Propagation(graph).run()


def is_depthwise(layer: nn.Module) -> bool:
    """Whether every channel of a convolution sees itself alone."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels == layer.out_channels > 1


def run_on_labels(graph: fx.GraphModule, node: fx.Node, labels: dict[fx.Node, Any]) -> Any:
    """Run an operation that only moves elements on labels [1, ...] of its inputs' elements.

    Args:
        graph: the graph of the node.
        node: what to run.
        labels: tensor nodes -> labels of their elements, or tuples of such.
    """

    def given(part: fx.Node) -> Any:
        if part in labels:
            return labels[part]
        return attribute(graph, part) if part.op == "get_attr" else value_of(part)

    args, kwargs = fx.map_arg(node.args, given), fx.map_arg(node.kwargs, given)
    if node.op == "call_module":
        return graph.get_submodule(str(node.target))(*args)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def moves_elements(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node only moves elements of tensors."""
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), RESHAPING_MODULES)
    return operation(node) in RESHAPING


def moved_tensor(node: fx.Node) -> fx.Node | None:
    """The one tensor (or tuple of tensors) whose elements a node moves; None where there are several or none."""
    tensors = [part for part in node.all_input_nodes if not part.meta.get("plain") and part.op != "get_attr"]
    return tensors[0] if len(tensors) == 1 else None


def as_channels(labels: Tensor) -> Tensor | None:
    """Labels [K] of whole channels of a tensor [1, K, ...]; None if elements of a channel have different labels."""
    if labels.dim() < 2:
        return None
    rows = labels[0].flatten(1) if labels.dim() > 2 else labels[0, :, None]
    return rows[:, 0] if bool((rows == rows[:, :1]).all()) else None


class _Propagation:
    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.nodes = list(graph.graph.nodes)
        self.modules = dict(graph.named_modules())
        self.calls = Counter(str(node.target) for node in self.nodes if node.op == "call_module")
        self.calls.update(str(node.target).rpartition(".")[0] for node in self.nodes if node.op == "get_attr")
        self.parent: list[int] = []
        self.of: dict[fx.Node, Channels] = {}
        self.mixed: dict[fx.Node, Any] = {}  # labels of all elements [1, ...], or a tuple of such
        self.pinned: list[int] = []

    def run(self) -> ChannelClasses:
        for node in self.nodes:
            self.of[node] = self._fresh(0)
            self.of[node] = self._channels(node)
        classes = {node: np.array([self._root(i) for i in channels], np.int64) for node, channels in self.of.items()}
        return ChannelClasses(of=classes, pinned={self._root(i) for i in self.pinned}, calls=self.calls)

    def _channels(self, node: fx.Node) -> Channels:
        if node.op in ("placeholder", "get_attr", "output"):
            return self._opaque(node)
        if node.meta["plain"]:
            return self._fresh(0)
        if moves_elements(self.graph, node):
            return self._moved(node)
        if node.op == "call_module":
            return self._of_module(node, self.modules[str(node.target)])
        name = operation(node)
        if name in PAIRWISE:
            return self._of_pair(node)
        if name in PLAIN and [part for part in node.all_input_nodes if is_tensor(part)] == [node.args[0]]:
            return self._whole(node.args[0])
        if name in REDUCTIONS and (reduced_dims(node) or {0}).isdisjoint({0, 1}):
            return self._whole(node.args[0])
        if name in CONCATENATIONS and argument(node, 1, "dim", 0) in (1, 1 - len(node.meta["shape"] or (0, 0))):
            return self._joined(node)
        if name == "pad":
            return self._padded(node)
        return self._opaque(node)

    def _of_module(self, node: fx.Node, module: nn.Module) -> Channels:
        weighted = isinstance(module, nn.Conv2d | nn.Linear)
        if weighted and self.calls[str(node.target)] > 1:
            return self._opaque(node)
        if is_depthwise(module):
            return self._whole(node.args[0])
        if isinstance(module, nn.Conv2d) and module.groups == 1:
            return self._fresh_after(node, module.out_channels)
        if isinstance(module, nn.Linear) and len(node.meta["shape"]) == 2:
            return self._fresh_after(node, module.out_features)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and self.calls[str(node.target)] == 1:
            return self._whole(node.args[0])
        one_slope = isinstance(module, nn.PReLU) and module.num_parameters == 1
        plain = one_slope or isinstance(module, PLAIN_MODULES) or getattr(module, "elementwise", False)
        return self._whole(node.args[0]) if plain else self._opaque(node)

    def _whole(self, node: object) -> Channels:
        """Channels of a tensor that is read channel by channel; where it has none, its parts are pinned."""
        assert isinstance(node, fx.Node)
        shape = node.meta["shape"]
        if len(self.of[node]) == 0 and shape is not None and len(shape) > 1:
            self._pin(node)
            self.of[node] = self._fresh(shape[1])
            self.pinned.extend(self.of[node])
            self.mixed.pop(node, None)
        return self.of[node]

    def _fresh_after(self, node: fx.Node, count: int) -> Channels:
        self._whole(node.args[0])
        return self._fresh(count)

    def _of_pair(self, node: fx.Node) -> Channels:
        tensors = [part for part in node.args if is_tensor(part)]
        others = [part for part in node.args if isinstance(part, fx.Node) and not is_tensor(part)]
        if len(tensors) == 1 and all(part.meta["plain"] for part in others):
            return self._whole(tensors[0])
        ranks = {len(part.meta["shape"]) for part in tensors}  # type: ignore[union-attr]
        if len(tensors) != 2 or len(ranks) != 1:
            return self._opaque(node)
        left, right = (self._whole(part) for part in tensors)
        if len(left) == len(right):
            for a, b in zip(left, right, strict=True):
                self.parent[self._root(a)] = self._root(b)
            return left
        narrow, wide = sorted((left, right), key=len)
        self.pinned.extend(narrow)  # one channel for all of the other's
        return wide if len(narrow) == 1 else self._opaque(node)

    def _joined(self, node: fx.Node) -> Channels:
        parts = node.args[0]  # one of them may be there twice
        if not isinstance(parts, list | tuple) or not all(is_tensor(part) for part in parts):
            return self._opaque(node)
        return np.concatenate([self._whole(part) for part in parts])

    def _padded(self, node: fx.Node) -> Channels:
        pads = argument(node, 1, "pad", ())
        shape = node.args[0].meta["shape"]  # type: ignore[union-attr]
        assert isinstance(pads, list | tuple)
        before, after = channel_pads(pads, len(shape))
        if min(before, after) < 0 or len(pads) > 2 * (len(shape) - 1):
            return self._opaque(node)
        return np.concatenate([self._fresh(before), self._whole(node.args[0]), self._fresh(after)])

    def _moved(self, node: fx.Node) -> Channels:
        """Channels of an operation that only moves elements, from the numbers of its input's elements."""
        source = moved_tensor(node)
        if operation(node) == "expand_as":
            source = node.args[0]  # type: ignore[assignment]
        if source is None:
            return self._opaque(node)
        try:
            result = run_on_labels(self.graph, node, {source: self._labels(source)})
        except Exception:  # what cannot be run on numbers is not understood
            return self._opaque(node)
        parts = result if isinstance(result, tuple | list) else (result,)
        if not all(isinstance(part, Tensor) and part.dim() and len(part) == 1 for part in parts):
            return self._opaque(node)  # images of a batch would be mixed
        channels = as_channels(result) if isinstance(result, Tensor) else None
        if channels is not None:
            return np.asarray(channels.numpy(), np.int64)
        self.mixed[node] = result
        return self._fresh(0)

    def _labels(self, node: fx.Node) -> Any:
        if node in self.mixed:
            return self.mixed[node]
        shape = node.meta["shape"]
        columns = torch.from_numpy(self._whole(node)).view(1, -1, *[1] * (len(shape) - 2))
        return columns.expand(1, *shape[1:])

    def _opaque(self, node: fx.Node) -> Channels:
        """Channels of an operation that is not understood: nothing that enters or leaves it may be removed."""
        for part in node.all_input_nodes:
            self._pin(part)
        shape = node.meta.get("shape")
        fresh = self._fresh(shape[1] if shape and len(shape) >= 2 else 0)
        self.pinned.extend(fresh)
        return fresh

    def _pin(self, node: fx.Node) -> None:
        self.pinned.extend(self.of[node])
        labels = self.mixed.get(node, ())
        for part in (labels,) if isinstance(labels, Tensor) else labels:
            self.pinned.extend(part.unique().tolist())

    def _fresh(self, count: int) -> Channels:
        start = len(self.parent)
        self.parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def _root(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i


def channel_pads(pads: list[int] | tuple[int, ...], dims: int) -> tuple[int, int]:
    """How many channels `torch.nn.functional.pad` puts before and after those of a tensor of ``dims`` dimensions.

    >>> channel_pads((0, 0, 0, 0, 4, 4), dims=4)
    (4, 4)
    """
    both = pads[2 * (dims - 2) : 2 * (dims - 1)]
    return (both[0], both[1]) if both else (0, 0)
