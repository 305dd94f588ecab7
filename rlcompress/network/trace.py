"""`trace`: a network's layer specs, coupling groups and stored tensors."""

import operator
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from rlcompress.errors import NetworkError
from rlcompress.network.channels import ADD_FUNCTIONS, ChannelClasses, channel_classes
from rlcompress.network.graph import folded_graph
from rlcompress.network.layers import WeightedLayer, weighted
from rlcompress.spec import LayerSpec, NetworkReference, NetworkStructure, fingerprint

_POOL_MODULES = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_POOL_FUNCTIONS = (F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d, torch.mean, "mean")
_VIEW_MODULES = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten)
_VIEW_TARGETS = (
    F.pad,
    F.dropout,
    operator.getitem,
    torch.flatten,
    torch.reshape,
    "flatten",
    "view",
    "reshape",
    "contiguous",
)


@dataclass(frozen=True, eq=False)
class TracedNetwork:
    """A pretrained network as the rest of rlcompress sees it.

    Attributes:
        name: what the network is called in policies and reports.
        graph: the network as a graph module in eval mode with BatchNorm folded; computes what the original does.
        specs: its operators in execution order.
        classes: layer name -> [K] numbers of its output channels; equal numbers are removed together.
        input_classes: layer name -> [C] numbers of the input channels that its weight sees.
        reads: layer name -> name of the graph node that stores the tensor it reads.
        skipped: module name -> why it passes through dense.
    """

    name: str
    graph: fx.GraphModule
    specs: tuple[LayerSpec, ...]
    classes: dict[str, NDArray[np.int64]]
    input_classes: dict[str, NDArray[np.int64]]
    reads: dict[str, str]
    skipped: dict[str, str]

    @cached_property
    def structure(self) -> NetworkStructure:
        """Connections between the specs."""
        return NetworkStructure(self.specs)

    @cached_property
    def layers(self) -> dict[str, LayerSpec]:
        """The compressible specs by name, in execution order."""
        return {spec.name: spec for spec in self.specs if spec.compressible}

    @property
    def reference(self) -> NetworkReference:
        """Name and structural fingerprint, as policies record them."""
        return NetworkReference(name=self.name, fingerprint=fingerprint(self.specs))

    def layer(self, name: str) -> WeightedLayer:
        """The folded module of a compressible layer."""
        return weighted(self.graph, name)

    def with_densities(self, densities: dict[str, float]) -> "TracedNetwork":
        """The same network with profiled input densities (layer name -> share of nonzero inputs)."""
        specs = tuple(replace(s, input_density=densities.get(s.name, s.input_density)) for s in self.specs)
        return replace(self, specs=specs)


def trace(model: nn.Module, example: Tensor, *, name: str | None = None) -> TracedNetwork:
    """Trace a pretrained module into layer specs.

    Args:
        model: a module with one tensor argument; it is copied, not changed.
        example: input [N, C, H, W] that it accepts; its values do not matter.
        name: what to call the network; the class's name by default.

    Raises:
        NetworkError: the module cannot be traced, calls a layer twice, or has no compressible layer.
    """
    graph = folded_graph(model, example)
    tracer = _SpecTracer(graph, channel_classes(graph))
    specs, skipped = tracer.run()
    layers = {spec.name for spec in specs if spec.compressible}
    if not layers:
        raise NetworkError(f"{type(model).__name__} has no convolution or linear layer that can be compressed")
    return TracedNetwork(
        name=name or type(model).__name__,
        graph=graph,
        specs=specs,
        classes={str(node.target): tracer.classes.of[node] for node in tracer.layer_nodes},
        input_classes={str(node.target): tracer.classes.of[node.all_input_nodes[0]] for node in tracer.layer_nodes},
        reads={str(node.target): tracer.stored(node.args[0]).name for node in tracer.layer_nodes},
        skipped=skipped,
    )


class _SpecTracer:
    """Walks a folded graph once and writes a `LayerSpec` for each operator that costs something."""

    def __init__(self, graph: fx.GraphModule, classes: ChannelClasses) -> None:
        self.nodes = list(graph.graph.nodes)
        self.modules = dict(graph.named_modules())
        self.classes = classes
        self.names: dict[fx.Node, str] = {}
        self.layer_nodes: list[fx.Node] = []
        self.members: dict[int, set[str]] = defaultdict(set)  # class -> layers that have it among their outputs

    def run(self) -> tuple[tuple[LayerSpec, ...], dict[str, str]]:
        specs: dict[fx.Node, LayerSpec] = {}
        skipped: dict[str, str] = {}
        for node in self.nodes:
            module = self.modules.get(str(node.target)) if node.op == "call_module" else None
            spec = self._spec(node, module)
            if spec is not None:
                if spec.name in self.names.values():
                    raise NetworkError(f"layer {spec.name!r} is called twice; give each call a module of its own")
                specs[node], self.names[node] = spec, spec.name
                if spec.compressible:
                    self.layer_nodes.append(node)
            elif module is not None and any(True for _ in module.parameters()):
                skipped[str(node.target)] = f"{type(module).__name__} is not compressed"
        for node in self.layer_nodes:
            for c in self.classes.of[node]:
                self.members[int(c)].add(str(node.target))
        coupling = self._coupling()
        rows = [replace(spec, **self._removal(node, coupling)) for node, spec in specs.items()]
        return tuple(rows), skipped

    def _spec(self, node: fx.Node, module: nn.Module | None) -> LayerSpec | None:
        shape = node.meta["shape"]
        if shape is None:
            return None
        if isinstance(module, nn.Conv2d):
            return self._conv(node, module)
        if isinstance(module, nn.Linear) and len(shape) == 2:
            return LayerSpec(
                name=str(node.target), kind="linear", out_channels=shape[1], in_channels=module.in_features,
                inputs=self._origins(node.args[0]),
            )  # fmt: skip
        pool = isinstance(module, _POOL_MODULES) or (node.op != "call_module" and node.target in _POOL_FUNCTIONS)
        if pool and len(shape) > 1 and shape[1] == node.args[0].meta["shape"][1]:  # type: ignore[union-attr]
            return self._unweighted(node, "pool")
        if node.target in ADD_FUNCTIONS and all(isinstance(part, fx.Node) for part in node.args):
            return self._unweighted(node, "add")
        return None

    def _conv(self, node: fx.Node, module: nn.Conv2d) -> LayerSpec:
        source, shape = node.args[0].meta["shape"], node.meta["shape"]  # type: ignore[union-attr]
        depthwise = module.groups > 1 and module.groups == module.in_channels
        return LayerSpec(
            name=str(node.target), kind="depthwise" if depthwise else "conv",
            out_channels=shape[1], in_channels=source[1], out_height=shape[2], out_width=shape[3],
            in_height=source[2], in_width=source[3], kernel_height=module.kernel_size[0],
            kernel_width=module.kernel_size[1], stride=module.stride[0], groups=module.groups,
            inputs=self._origins(node.args[0]),
        )  # fmt: skip

    def _unweighted(self, node: fx.Node, kind: str) -> LayerSpec:
        source = node.args[0].meta["shape"] if kind == "pool" else node.meta["shape"]  # type: ignore[union-attr]
        shape = (*node.meta["shape"], 1, 1)
        origins = tuple(dict.fromkeys(name for part in node.all_input_nodes for name in self._origins(part)))
        return LayerSpec(
            name=self._name(node), kind=kind,
            out_channels=shape[1], in_channels=shape[1], out_height=shape[2], out_width=shape[3],
            in_height=source[2] if len(source) > 2 else 1, in_width=source[3] if len(source) > 3 else 1, inputs=origins,
        )  # fmt: skip

    def _name(self, node: fx.Node) -> str:
        """The module's name; the graph's where there is no module, or one that has been called before."""
        module_name = str(node.target)
        return module_name if node.op == "call_module" and module_name not in self.names.values() else node.name

    def _origins(self, node: object) -> tuple[str, ...]:
        """Names of the specs whose outputs make up a node's value; empty for the network's input."""
        assert isinstance(node, fx.Node)
        if node in self.names:
            return (self.names[node],)
        parts = [name for part in node.all_input_nodes for name in self._origins(part)]
        return tuple(dict.fromkeys(parts))

    def stored(self, node: object) -> fx.Node:
        """The node whose output lies in memory when ``node`` is read: views, padding and dropout are undone."""
        assert isinstance(node, fx.Node)
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        view = isinstance(module, _VIEW_MODULES) or (node.op != "call_module" and node.target in _VIEW_TARGETS)
        return self.stored(node.args[0]) if view and self._is_tensor(node.args[0]) else node

    def _is_tensor(self, node: object) -> bool:
        return isinstance(node, fx.Node) and node.meta["shape"] is not None

    def _coupling(self) -> dict[int, str]:
        """Class -> name of its coupling group, for the groups that may be removed."""
        group_of: dict[int, str] = {}
        for node in self.names:  # those without weights too: a pool of a concatenation has one share of its channels
            touched = {group_of[c] for c in self.classes.of[node] if c in group_of}
            name = min(touched, key=list(group_of.values()).index, default=str(node.target))
            group_of.update({c: name for c, old in group_of.items() if old in touched})
            group_of.update({int(c): name for c in self.classes.of[node] if c >= 0})
        frozen = {group_of[c] for c in self.classes.pinned if c in group_of}
        return {c: name for c, name in group_of.items() if name not in frozen}

    def _removal(self, node: fx.Node, coupling: dict[int, str]) -> dict[str, Any]:
        channels = self.classes.of[node]
        group = coupling.get(int(channels[0])) if len(channels) else None
        if group is None or any(int(c) not in coupling for c in channels):
            return {}
        strata = Counter(frozenset(self.members[int(c)]) for c in channels)
        return {"coupling": group, "strata": tuple(strata.values())}
