"""Removing channels for real: a smaller network that computes what the masked one computes.

A channel is dead when no weight that matters reads it. Dead channels are removed from everything that makes or passes
them; what only moved them (padding, shuffles, splits, views) is rewritten for the channels that stay. A layer that uses
only some of a tensor's channels selects them first.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from rlcompress.network.channels import (
    ChannelClasses,
    Channels,
    channel_classes,
    channel_pads,
    is_depthwise,
    moved_tensor,
    moves_elements,
    run_on_labels,
)
from rlcompress.network.graph import record_shapes
from rlcompress.network.operations import argument, operation
from rlcompress.network.slicing import sliced


def thinned(network: fx.GraphModule, example: Tensor, round_to: int = 1) -> fx.GraphModule:
    """A copy of a network without the channels that no weight reads.

    The given network is left as it is. Every tensor keeps at least one channel.

    Args:
        network: a graph in eval mode as `rlcompress.network.trace.trace` makes it, or one stitched from candidates,
            with weights of 0 where a channel or filter was removed.
        example: input [1, C, H, W]; its values do not matter.
        round_to: channels stay in multiples of it, where need be with some that no weight reads.

    Returns:
        A graph module whose outputs differ from the given one's by no more than the order of its sums.
    """
    graph = copy.deepcopy(network)
    record_shapes(graph, example)
    _Thinner(graph, channel_classes(graph), round_to).run()
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    record_shapes(graph, example)
    return graph


def live_classes(graph: fx.GraphModule, classes: ChannelClasses, round_to: int) -> set[int]:
    """Channel classes whose values can reach the outputs of a graph, and what fills their numbers up to multiples."""
    live = set(classes.pinned)
    layers = [node for node in classes.of if _weighted(graph, node, classes) is not None]
    tensors = [channels for channels in classes.of.values() if len(channels)]
    strata = _strata([classes.of[node] for node in layers])
    while True:
        read = live.union(*(_read_classes(graph, node, classes, live) for node in layers))
        if read == live:  # no number is filled up before all is known that is read
            parts = ((stratum[np.isin(stratum, list(live))], stratum) for stratum in strata)
            read = live.union(*(_filled(*part, round_to) for part in parts))
        if read == live:  # every tensor keeps a channel
            empty = next((channels for channels in tensors if live.isdisjoint(channels.tolist())), None)
            if empty is None:
                return live
            read.add(int(empty[0]))
        live = read


def _strata(outputs: list[Channels]) -> list[Channels]:
    """The classes that belong to the same layers, of which `rlcompress.spec.LayerSpec` keeps multiples each."""
    members: dict[int, list[int]] = {}
    for layer, channels in enumerate(outputs):
        for c in dict.fromkeys(channels.tolist()):
            members.setdefault(c, []).append(layer)
    strata: dict[tuple[int, ...], list[int]] = {}
    for c, layers in members.items():
        strata.setdefault(tuple(layers), []).append(c)
    return [np.array(stratum, np.int64) for stratum in strata.values()]


def _filled(some: Channels, every: Channels, round_to: int) -> Channels:
    """Some channels with the first others up to a multiple, in order; all where that is more than there are."""
    others = every[~np.isin(every, some)]
    return np.sort(np.concatenate([some, others[: -len(some) % round_to]]))


def _weighted(graph: fx.GraphModule, node: fx.Node, classes: ChannelClasses) -> nn.Conv2d | nn.Linear | None:
    """The layer that a node calls, if its channels are understood."""
    if node.op != "call_module" or not len(classes.of[node]) or classes.calls[str(node.target)] > 1:
        return None
    module = graph.get_submodule(str(node.target))
    of_tokens = isinstance(module, nn.Linear) and len(node.meta["shape"]) != 2
    return module if isinstance(module, nn.Conv2d | nn.Linear) and not of_tokens else None


def _read_classes(graph: fx.GraphModule, node: fx.Node, classes: ChannelClasses, live: set[int]) -> set[int]:
    """Classes that the live outputs of a layer really read; a depthwise channel only passes its own on."""
    layer = _weighted(graph, node, classes)
    if layer is None or is_depthwise(layer):
        return set()
    rows = _positions(classes.of[node], live)
    columns = classes.of[node.args[0]]  # type: ignore[index]
    return set(columns[_used_inputs(layer, rows, len(columns))].tolist())


def _used_inputs(layer: nn.Conv2d | nn.Linear, rows: Channels, count: int) -> Channels:
    """Positions of the inputs that some of a layer's rows give a weight other than 0, the same in every group."""
    weight = layer.weight.detach()[torch.from_numpy(rows)]
    used = (weight != 0).transpose(0, 1).flatten(1).any(1)
    return np.flatnonzero(used.repeat(count // len(used)).numpy())


def _positions(channels: Channels, live: set[int]) -> Channels:
    return np.flatnonzero(np.isin(channels, list(live)))


class _Thinner:
    """Rewrites a graph node by node; ``kept[node]`` are the old channels that its value still has."""

    def __init__(self, graph: fx.GraphModule, classes: ChannelClasses, round_to: int) -> None:
        self.graph = graph
        self.classes = classes
        self.round_to = round_to
        live = live_classes(graph, classes, round_to)
        self.kept = {node: _positions(channels, live) for node, channels in classes.of.items()}
        self.selections = 0

    def run(self) -> None:
        for node in list(self.graph.graph.nodes):
            if len(self.classes.of[node]):
                with self.graph.graph.inserting_before(node):
                    self._rewrite(node)

    def _rewrite(self, node: fx.Node) -> None:
        module = self.graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        if _weighted(self.graph, node, self.classes) is not None:
            self._slice_layer(node)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and self._loses_channels(node):
            self.graph.set_submodule(str(node.target), sliced(module, self.kept[node], self.kept[node]))
        elif operation(node) == "pad":
            self._repad(node)
        elif moves_elements(self.graph, node):
            self._move(node)

    def _loses_channels(self, node: fx.Node) -> bool:
        return len(self.kept[node]) < len(self.classes.of[node])

    def _slice_layer(self, node: fx.Node) -> None:
        layer = _weighted(self.graph, node, self.classes)
        source, rows = node.args[0], self.kept[node]
        assert layer is not None
        assert isinstance(source, fx.Node)
        there, inputs = self.kept[source], len(self.classes.of[source])
        used = there
        if not is_depthwise(layer):
            used = np.intersect1d(_used_inputs(layer, rows, inputs), there)
            used = used if len(used) else _first_inputs(layer, there)
            if isinstance(layer, nn.Linear) or layer.groups == 1:
                used = _filled(used, there, self.round_to)
        if len(used) < len(there):
            node.update_arg(0, self._selected(source, np.searchsorted(there, used)))
        if self._loses_channels(node) or len(used) < inputs:
            self.graph.set_submodule(str(node.target), sliced(layer, rows, used))

    def _repad(self, node: fx.Node) -> None:
        """As many zero channels before and after those of the input as stay."""
        source, pads = node.args[0], argument(node, 1, "pad", ())
        assert isinstance(pads, list)
        assert isinstance(source, fx.Node)
        dims = len(node.meta["shape"])
        before, after = channel_pads(pads, dims)
        if before == after == 0:
            return
        kept, last = self.kept[node], before + len(self.classes.of[source])
        pads[2 * (dims - 2) : 2 * (dims - 1)] = [int((kept < before).sum()), int((kept >= last).sum())]
        node.args = (source, tuple(pads), *node.args[2:])
        node.kwargs = {key: value for key, value in node.kwargs.items() if key != "pad"}

    def _move(self, node: fx.Node) -> None:
        """Select the elements that stay from the tensor that a chain of views, splits and shuffles begins with."""
        source = self._source(node)
        if source is None or not self._loses_channels(source) or (source is moved_tensor(node) and _follows(node)):
            return
        old = torch.arange(int(np.prod(source.meta["shape"]))).view(source.meta["shape"])
        moved = self._run_chain(node, source, old)[0][torch.from_numpy(self.kept[node])]
        stay = old[0][torch.from_numpy(self.kept[source])].flatten()
        new = torch.full((old.numel(),), -1)
        new[stay] = torch.arange(len(stay))
        replacement = self._gathered(source, new[moved], len(stay))
        node.replace_all_uses_with(replacement)
        if replacement is not source:
            self.kept[replacement], self.classes.of[replacement] = self.kept[node], self.classes.of[node]
            replacement.meta = dict(node.meta)

    def _source(self, node: fx.Node) -> fx.Node | None:
        """The nearest tensor of whole channels before a chain of moves."""
        source = moved_tensor(node)
        if source is None or len(self.classes.of[source]):
            return source
        return self._source(source)

    def _run_chain(self, node: fx.Node, source: fx.Node, labels: Tensor) -> Any:
        if node is source:
            return labels
        part = moved_tensor(node)
        assert part is not None
        return run_on_labels(self.graph, node, {part: self._run_chain(part, source, labels)})

    def _gathered(self, source: fx.Node, index: Tensor, count: int) -> fx.Node:
        """Elements of ``source``, by their positions [K, ...] among its ``count`` elements of an image."""
        graph, rest = self.graph.graph, source.meta["shape"][2:]
        size = int(np.prod(rest))
        first = index.reshape(len(index), -1)[:, :1]
        whole = index.shape[1:] == rest and bool((index.reshape(len(index), -1) == first + torch.arange(size)).all())
        if whole and not bool((first % size).any()):
            return self._selected(source, (first[:, 0] // size).numpy())
        flat = graph.call_function(torch.flatten, (source, 1))
        if not torch.equal(index.flatten(), torch.arange(count)):
            flat = self._selected(flat, index.flatten().numpy())
        return graph.call_function(torch.reshape, (flat, (-1, *index.shape))) if index.dim() > 1 else flat

    def _selected(self, source: fx.Node, positions: Channels) -> fx.Node:
        """Channels of a tensor by their positions among those that stay."""
        name = f"selection_{self.selections}"
        while hasattr(self.graph, name):
            self.selections += 1
            name = f"selection_{self.selections}"
        self.graph.register_buffer(name, torch.from_numpy(np.ascontiguousarray(positions, np.int64)))
        return self.graph.graph.call_function(torch.index_select, (source, 1, self.graph.graph.get_attr(name)))


def _first_inputs(layer: nn.Conv2d | nn.Linear, there: Channels) -> Channels:
    """One input a group, for a layer whose weights are all 0."""
    if not isinstance(layer, nn.Conv2d) or layer.groups == 1:
        return there[:1]
    return there[:: layer.in_channels // layer.groups]


def _follows(node: fx.Node) -> bool:
    """Whether a move fits the channels that stay as it is written."""
    name = operation(node)
    if name == "getitem":
        index = node.args[1]
        whole = isinstance(index, tuple) and all(part == slice(None) for part in index[:2])
        return whole and None not in index and node.args[0].meta["shape"] is not None  # type: ignore[operator, union-attr]
    return name in ("contiguous", "clone", "detach", "alias", "flatten") and len(node.args) + len(node.kwargs) <= 2
