"""The network that candidates are stitched into: folded, with a quantizer on every stored tensor."""

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, fx, nn

from rlcompress.network.layers import WeightedLayer, weighted
from rlcompress.network.trace import TracedNetwork
from rlcompress.quantization import ActivationQuantizer

Module = TypeVar("Module", bound=nn.Module)


def quantizer_name(stored: str) -> str:
    """Name of the module that rounds the tensor of graph node ``stored``."""
    return f"quantizer_{stored}"


def quantizable(network: TracedNetwork) -> fx.GraphModule:
    """A copy of the network's graph with an `ActivationQuantizer` behind each tensor that a layer reads.

    Every reader of the tensor, residual sums included, sees the rounded values, as it would on an accelerator that
    stores the tensor once. Layers get a zero bias where they had none; tensors of four dimensions are channels_last.
    """
    graph = copy.deepcopy(network.graph)
    nodes = {node.name: node for node in graph.graph.nodes}
    for stored in dict.fromkeys(network.reads.values()):
        graph.add_module(quantizer_name(stored), ActivationQuantizer())
        node = nodes[stored]
        with graph.graph.inserting_after(node):
            rounded = graph.graph.call_module(quantizer_name(stored), (node,))
            rounded.meta = dict(node.meta)
        node.replace_all_uses_with(rounded, delete_user_cb=lambda user, new=rounded: user is not new)
    for name in network.layers:
        layer = weighted(graph, name)
        if layer.bias is None:
            layer.bias = nn.Parameter(torch.zeros(layer.weight.shape[0]))
    graph.requires_grad_(False)
    for tensor in (*graph.parameters(), *graph.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    graph.recompile()
    return graph


def with_modules(module: Module, replaced: Mapping[str, nn.Module]) -> Module:
    """A copy with some modules, by their dotted names, replaced; everything else is shared with the original."""
    copied = _bare_copy(module)
    modules = copied.__dict__["_modules"] = dict(module._modules)
    inner: dict[str, dict[str, nn.Module]] = defaultdict(dict)
    for name, part in replaced.items():
        first, _, rest = name.partition(".")
        if rest:
            inner[first][rest] = part
        else:
            modules[first] = part
    for first, parts in inner.items():
        child = modules[first]
        assert child is not None
        modules[first] = with_modules(child, parts)
    return copied


def lean_copy(layer: WeightedLayer) -> WeightedLayer:
    """A copy of a layer that shares its tensors: give it new tensors, do not change them."""
    copied = _bare_copy(layer)
    for name, value in layer.__dict__.items():  # parameters, buffers, hooks
        copied.__dict__[name] = value.copy() if isinstance(value, dict | set) else value
    return copied


def _bare_copy(module: Module) -> Module:
    copied = nn.Module.__new__(module.__class__)  # fx.GraphModule.__new__ would make a new class
    copied.__dict__.update(module.__dict__)
    return copied


Kept = TypeVar("Kept")


class StoredTensors(fx.Interpreter, Generic[Kept]):
    """Runs a graph and keeps something of the outputs of the named nodes.

    Args:
        graph: to run.
        names: of the nodes.
        keep: (name, output) -> what to keep of it.
    """

    def __init__(self, graph: fx.GraphModule, names: set[str], keep: Callable[[str, Tensor], Kept]) -> None:
        super().__init__(graph)
        self.names = names
        self.values: dict[str, Kept] = {}
        self._keep = keep

    def run_node(self, n: fx.Node) -> object:
        """Run one node, keeping of its output what is asked for."""
        result = super().run_node(n)
        if n.name in self.names:
            self.values[n.name] = self._keep(n.name, result)
        return result
