"""What an export will refuse, told of a network before anything is compressed."""

import copy
from typing import Any

import torch
from torch import fx, nn

from rlcompress.errors import NetworkError, RunError
from rlcompress.export.calls import Call
from rlcompress.export.exporting import FORMATS
from rlcompress.export.records import Record, Recording
from rlcompress.export.replay import shape_of
from rlcompress.integer.steps import Apply
from rlcompress.network.graph import first_line
from rlcompress.network.static import make_static
from rlcompress.network.trace import TracedNetwork


def refusals(network: TracedNetwork, format: str) -> dict[str, str]:  # noqa: A002  # the option's name
    """The operators that cannot be written to a file of a format, whatever the policy.

    The network runs on a few random images for it. Without the package onnx, what ONNX alone refuses is not found.

    Args:
        network: traced.
        format: name in `rlcompress.export.FORMATS`.

    Returns:
        Name of a module or node (of the network, where none is to blame) -> what `export` would say; empty if the
        network can be exported.

    Raises:
        RunError: unknown format.
    """
    if format not in FORMATS:
        raise RunError(f"unknown format {format!r}; choose from {', '.join(FORMATS)}")
    graph, example = copy.deepcopy(network.graph), torch.zeros(1, *network.input_shape)
    try:
        make_static(graph, example)
    except NetworkError as error:
        return {network.name: str(error)}
    shapes = _Shapes(graph)
    with torch.no_grad():
        shapes.run(example)
    found = {}
    for node in graph.graph.nodes:
        if node.op.startswith("call") and not _is_integer(graph, node):
            try:
                _try(graph, node, shapes.of, format)
            except Exception as error:  # a rule may meet arguments that it does not know
                found[str(node.target) if node.op == "call_module" else node.name] = first_line(error)
    return found


def _is_integer(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node calls a layer on codes, which every format can hold."""
    module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.padding_mode == "zeros")


def _try(graph: fx.GraphModule, node: fx.Node, shapes: dict[fx.Node, Any], format: str) -> None:  # noqa: A002
    """Write one node down as `export` would."""
    function = graph.get_submodule(str(node.target)) if node.op == "call_module" else node.target
    call = Call.of(Apply(function, node, real=True))  # type: ignore[arg-type]
    if format != "onnx":
        return
    try:
        from rlcompress.export.onnx_calls import emit_call
        from rlcompress.export.onnx_graph import OnnxGraph
    except ImportError:
        return
    onnx = OnnxGraph(Recording((), 0), torch.zeros(1))
    operands = tuple(range(1, 1 + len(node.all_input_nodes)))
    for number, part in zip((*operands, 0), (*node.all_input_nodes, node), strict=True):
        onnx.shapes[number], onnx.names[number] = shapes[part], _names(shapes[part], f"value_{number}")
    emit_call(onnx, call, Record("call", operands, 0))


def _names(shape: Any, name: str) -> Any:
    return [f"{name}_{i}" for i in range(len(shape))] if isinstance(shape, list) else name


class _Shapes(fx.Interpreter):
    """Runs a graph and keeps the shapes of what its nodes give; a list of them for several tensors."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.of: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        self.of[n] = shape_of(result)
        return result
