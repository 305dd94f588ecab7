"""`trace`: a network's layer specs, coupling groups and stored tensors."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from rlcompress.errors import NetworkError
from rlcompress.network.channels import ChannelClasses, channel_classes, is_depthwise
from rlcompress.network.fixed import computes, fixed_spec, multiplies
from rlcompress.network.graph import folded_graph
from rlcompress.network.layers import WeightedLayer, weighted
from rlcompress.network.operations import (
    PAIRWISE,
    POOL_MODULES,
    POOLS,
    RESHAPING_MODULES,
    VIEW_MODULES,
    VIEWS,
    is_tensor,
    operation,
    reduced_dims,
)
from rlcompress.network.static import constants
from rlcompress.spec import LayerSpec, NetworkReference, NetworkStructure, fingerprint, rounded_to

_MOST_KINDS = 3  # of operators that a doubt names


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
        skipped: name of a module or node -> why it passes through dense.
        uncharged: those of them, and products of tensors, that no spec stands for, so that costs leave them out.
        in_float32: name of a module or node -> its kind (``GroupNorm``, ``gelu``), of all other operators that compute
            values and that no spec stands for, so that costs leave them out, too.
        moments: layer name -> mean and standard deviation [K] of its outputs over the training images, as its BatchNorm
            has kept them; layers whose BatchNorm was folded before are not among them.
    """

    name: str
    graph: fx.GraphModule
    specs: tuple[LayerSpec, ...]
    classes: dict[str, NDArray[np.int64]]
    input_classes: dict[str, NDArray[np.int64]]
    reads: dict[str, str]
    skipped: dict[str, str]
    uncharged: tuple[str, ...]
    in_float32: dict[str, str]
    moments: dict[str, tuple[Tensor, Tensor]]

    @cached_property
    def structure(self) -> NetworkStructure:
        """Connections between the specs."""
        return NetworkStructure(self.specs)

    @cached_property
    def layers(self) -> dict[str, LayerSpec]:
        """The compressible specs by name, in execution order."""
        return {spec.name: spec for spec in self.specs if spec.compressible}

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the image that the network was traced with."""
        image = next(node for node in self.graph.graph.nodes if node.op == "placeholder")
        _, channels, height, width = image.meta["shape"]
        return channels, height, width

    @property
    def reference(self) -> NetworkReference:
        """Name and structural fingerprint, as policies record them."""
        return NetworkReference(name=self.name, fingerprint=fingerprint(self.specs))

    @property
    def doubts(self) -> list[str]:
        """What policies do not change and costs leave out, each in words; empty where there is nothing of the kind."""
        fixed = [spec.name for spec in self.specs if spec.fixed]
        found = []
        if fixed:
            found.append(
                f"{_listed(fixed)} cannot be compressed ({self.skipped.get(fixed[0], 'it is used several times')}); "
                "costs take it as dense at 8 bits, accuracies as it is, in floating point"
            )
        if self.uncharged:
            found.append(f"costs leave out {_listed(self.uncharged)}; savings are those of the rest of the network")
        if self.in_float32:
            kinds = list(dict.fromkeys(self.in_float32.values()))
            shown = ", ".join(kinds[:_MOST_KINDS]) + (" and others" if len(kinds) > _MOST_KINDS else "")
            found.append(f"costs leave out what runs in float32: {shown} ({_listed(list(self.in_float32))})")
        return found

    def layer(self, name: str) -> WeightedLayer:
        """The folded module of a compressible layer."""
        return weighted(self.graph, name)

    def with_round_to(self, round_to: int) -> "TracedNetwork":
        """The same network, keeping channels in multiples of ``round_to``."""
        return replace(self, specs=rounded_to(self.specs, round_to))

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
        NetworkError: it is no module, or one that cannot be traced or has no compressible layer.
    """
    if not isinstance(model, nn.Module):
        raise NetworkError(f"cannot trace a {type(model).__name__}; give a torch.nn.Module")
    graph = folded_graph(model, example)
    tracer = _SpecTracer(graph, channel_classes(graph))
    specs = tracer.run()
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
        skipped=tracer.skipped,
        uncharged=tuple(tracer.uncharged),
        in_float32=tracer.in_float32,
        moments={str(n.target): n.meta["moments"] for n in tracer.layer_nodes if "moments" in n.meta},
    )


def _listed(names: Sequence[str]) -> str:
    """The first name, and how many more there are."""
    return f"{names[0]!r}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


class _SpecTracer:
    """Walks a folded graph once and writes a `LayerSpec` for each operator that costs something."""

    def __init__(self, graph: fx.GraphModule, classes: ChannelClasses) -> None:
        self.nodes = list(graph.graph.nodes)
        self.modules = dict(graph.named_modules())
        self.classes = classes
        self.names: dict[fx.Node, str] = {}
        self.origins: dict[fx.Node, tuple[str, ...]] = {}
        self.layer_nodes: list[fx.Node] = []
        self.skipped: dict[str, str] = {}
        self.uncharged: list[str] = []
        self.in_float32: dict[str, str] = {}
        self.constants = constants(graph)
        self.members: dict[int, set[str]] = defaultdict(set)  # class -> layers that have it among their outputs

    def run(self) -> tuple[LayerSpec, ...]:
        specs: dict[fx.Node, LayerSpec] = {}
        for node in self.nodes:
            parts = [name for part in node.all_input_nodes if not part.meta["plain"] for name in self._origins(part)]
            self.origins[node] = tuple(dict.fromkeys(parts))
            module = self.modules.get(str(node.target)) if node.op == "call_module" else None
            reason = self._reason_to_skip(node, module)
            if reason is not None:
                self.skipped[str(node.target) if module is not None else node.name] = reason
            spec = self._spec(node, module) if reason is None else self._fixed(node, module)
            if spec is None and multiplies(node, module):
                self.uncharged.append(self._name(node))
            elif spec is None and node not in self.constants and computes(node, module):
                self.in_float32[self._name(node)] = type(module).__name__ if module is not None else operation(node)
            if spec is not None:
                specs[node], self.names[node] = spec, spec.name
                if spec.compressible:
                    self.layer_nodes.append(node)
        for node in self.layer_nodes:
            for c in self.classes.of[node]:
                self.members[int(c)].add(str(node.target))
        coupling = self._coupling()
        rows = [replace(spec, **self._removal(node, coupling)) for node, spec in specs.items()]
        return tuple(rows)

    def _reason_to_skip(self, node: fx.Node, module: nn.Module | None) -> str | None:
        """Why an operator with weights passes through dense; None for all others."""
        if module is None and operation(node) in ("conv2d", "linear"):
            return f"{operation(node)} computes its weights"
        if module is None:
            held = [part for part in node.all_input_nodes if part.op == "get_attr"]
            return f"{operation(node)} uses {held[0].target} outside a module" if held and is_tensor(node) else None
        if not any(True for _ in module.parameters()):
            return None
        if self.classes.calls[str(node.target)] > 1:
            return f"{type(module).__name__} is used {self.classes.calls[str(node.target)]} times"
        two_dims = isinstance(module, nn.Linear) and len(node.meta["shape"]) != 2
        if two_dims or not isinstance(module, nn.Conv2d | nn.Linear):
            return f"{type(module).__name__} is not compressed"
        return None

    def _fixed(self, node: fx.Node, module: nn.Module | None) -> LayerSpec | None:
        return fixed_spec(node, module, self._name(node), self.origins[node])

    def _spec(self, node: fx.Node, module: nn.Module | None) -> LayerSpec | None:
        shape = node.meta["shape"]
        if shape is None:
            return None
        if isinstance(module, nn.Conv2d):
            return self._conv(node, module)
        if isinstance(module, nn.Linear):
            return LayerSpec(
                name=str(node.target), kind="linear", out_channels=shape[1], in_channels=module.in_features,
                inputs=self._origins(node.args[0]),
            )  # fmt: skip
        spatial = operation(node) == "mean" and (reduced_dims(node) or {0}).isdisjoint({0, 1})
        if isinstance(module, POOL_MODULES) or operation(node) in POOLS or (spatial and len(shape) > 1):
            return self._unweighted(node, "pool")
        if operation(node) in PAIRWISE and sum(is_tensor(part) for part in node.args) == 2:
            return self._unweighted(node, "add")
        return None

    def _conv(self, node: fx.Node, module: nn.Conv2d) -> LayerSpec:
        source, shape = node.args[0].meta["shape"], node.meta["shape"]  # type: ignore[union-attr]
        return LayerSpec(
            name=str(node.target), kind="depthwise" if is_depthwise(module) else "conv",
            out_channels=shape[1], in_channels=source[1], out_height=shape[2], out_width=shape[3],
            in_height=source[2], in_width=source[3], kernel_height=module.kernel_size[0],
            kernel_width=module.kernel_size[1], stride=max(module.stride), groups=module.groups,
            inputs=self._origins(node.args[0]),
        )  # fmt: skip

    def _unweighted(self, node: fx.Node, kind: str) -> LayerSpec:
        source = node.args[0].meta["shape"] if kind == "pool" else node.meta["shape"]  # type: ignore[union-attr]
        shape = (*node.meta["shape"], 1, 1)
        return LayerSpec(
            name=self._name(node), kind=kind,
            out_channels=shape[1], in_channels=shape[1], out_height=shape[2], out_width=shape[3],
            in_height=source[2] if len(source) > 2 else 1, in_width=source[3] if len(source) > 3 else 1,
            inputs=self.origins[node],
        )  # fmt: skip

    def _name(self, node: fx.Node) -> str:
        """The module's name; the graph's where there is no module, or one that has been called before."""
        module_name = str(node.target)
        if node.op == "call_module" and module_name not in self.names.values():
            return module_name
        return f"{node.name}_of_{self.nodes.index(node)}" if node.name in self.modules else node.name

    def _origins(self, node: object) -> tuple[str, ...]:
        """Names of the specs whose outputs make up a node's value; empty for the network's input."""
        assert isinstance(node, fx.Node)
        return (self.names[node],) if node in self.names else self.origins[node]

    def stored(self, node: object) -> fx.Node:
        """The node whose tensor lies in memory when ``node`` is read: views, padding and dropout are undone."""
        assert isinstance(node, fx.Node)
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        view = isinstance(module, VIEW_MODULES + RESHAPING_MODULES) or operation(node) in VIEWS
        source = self.stored(node.args[0]) if view and isinstance(node.args[0], fx.Node) else node
        return source if is_tensor(source) else node  # one of several outputs

    def _coupling(self) -> dict[int, str]:
        """Class -> name of its coupling group, for the groups that may be removed."""
        group_of: dict[int, str] = {}
        for node in self.names:  # those without weights too: a pool of a concatenation has one share of its channels
            touched = {group_of[c] for c in self.classes.of[node] if c in group_of}
            name = min(touched, key=list(group_of.values()).index, default=self.names[node])
            group_of.update({c: name for c, old in group_of.items() if old in touched})
            group_of.update({int(c): name for c in self.classes.of[node] if int(c) in self.members})
        twice = (c for node in self.layer_nodes for c, n in Counter(self.classes.of[node].tolist()).items() if n > 1)
        frozen = {group_of[c] for c in (*self.classes.pinned, *twice) if c in group_of}
        return {c: name for c, name in group_of.items() if name not in frozen}

    def _removal(self, node: fx.Node, coupling: dict[int, str]) -> dict[str, Any]:
        channels = self.classes.of[node]
        group = coupling.get(int(channels[0])) if len(channels) else None
        if group is None or any(int(c) not in coupling for c in channels):
            return {}
        strata = Counter(frozenset(self.members[int(c)]) for c in channels)
        return {"coupling": group, "strata": tuple(strata.values())}
