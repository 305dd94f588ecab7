"""The second way into a network: torch.export, for modules whose Python torch.fx cannot follow."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from rlcompress.errors import NetworkError

_aten = torch.ops.aten
_GUARDS = "_guards_fn"  # what a program checks of its inputs

_FUNCTIONS: dict[object, Callable[..., object]] = {
    _aten.relu.default: F.relu, _aten.relu_.default: F.relu, _aten.relu6.default: F.relu6,
    _aten.hardtanh.default: F.hardtanh, _aten.hardtanh_.default: F.hardtanh,
    _aten.add.Tensor: torch.add, _aten.add_.Tensor: torch.add, _aten.mul.Tensor: torch.mul,
    _aten.cat.default: torch.cat, _aten.flatten.using_ints: torch.flatten, _aten.view.default: torch.reshape,
    _aten.reshape.default: torch.reshape, _aten.mean.dim: torch.mean, _aten.max_pool2d.default: F.max_pool2d,
    _aten.avg_pool2d.default: F.avg_pool2d, _aten.adaptive_avg_pool2d.default: F.adaptive_avg_pool2d,
    _aten.pad.default: F.pad,
    _aten.dropout.default: F.dropout, _aten.dropout_.default: F.dropout,
}  # fmt: skip
"""Operators of exported programs -> the functions that torch.fx records."""


def exported_graph(model: nn.Module, example: Tensor) -> fx.GraphModule:
    """Trace a module in eval mode by torch.export, in the form that torch.fx would have given.

    Args:
        model: a module with one tensor argument; it is copied, not changed.
        example: input [N, C, H, W] that it accepts; any number of images will be accepted afterwards.

    Raises:
        NetworkError: the traced network would take only as many images as it was traced with.
        Exception: whatever torch.export raises.
    """
    images = example[:1].expand(2, *example.shape[1:]).contiguous()  # sizes of 0 and 1 would be built in
    with _hushed(), torch.no_grad():
        dynamic = ({0: torch.export.Dim.AUTO},)
        program = torch.export.export(copy.deepcopy(model).eval(), (images,), dynamic_shapes=dynamic)
        graph = _plain(program.module(check_guards=False))
    _check_any_number(graph, example)
    return graph


def of_program(network: nn.Module | ExportedProgram) -> nn.Module:
    """An exported program, or the module that it gives (which refuses ``eval()``), as a module like any other.

    Other modules are given back themselves.
    """
    if isinstance(network, ExportedProgram):
        return _plain(network.module(check_guards=False))
    if not isinstance(network, fx.GraphModule):
        return network
    try:
        return network.eval()
    except NotImplementedError:
        return _plain(network)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Keep torch.export's warnings, log and dumps of graphs off the terminal; what matters is raised or checked for."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _plain(module: nn.Module) -> fx.GraphModule:
    """The graph of an exported program with one argument and one result, calling functions."""
    assert isinstance(module, fx.GraphModule)
    graph = fx.Graph()
    result = graph.graph_copy(module.graph, {})
    for node in list(graph.nodes):
        if node.target == _GUARDS:
            graph.erase_node(node)
    while isinstance(result, tuple | list) and len(result) == 1:
        result = result[0]
    graph.output(result)
    for node in list(graph.nodes):
        if node.target == _aten.adaptive_max_pool2d.default:
            _without_indices(graph, node)
        if node.op == "call_function" and node.target in _FUNCTIONS and "alpha" not in node.kwargs:
            node.target = _FUNCTIONS[node.target]
    return fx.GraphModule(module, graph)


def _without_indices(graph: fx.Graph, pool: fx.Node) -> None:
    """Let a pool give its values alone, where nothing reads the places that it gives beside them."""
    values, places = ([taken for taken in pool.users if taken.args[1] == i] for i in (0, 1))
    if any(taken.users for taken in places):
        return
    for taken in (*values, *places):
        taken.replace_all_uses_with(pool)
        graph.erase_node(taken)
    pool.target = F.adaptive_max_pool2d


def _check_any_number(graph: fx.GraphModule, example: Tensor) -> None:
    for count in (1, 3):
        try:
            with torch.no_grad():
                graph(example[:1].expand(count, *example.shape[1:]))
        except RuntimeError:
            raise NetworkError("forward() builds in the number of images; take it from x.shape[0]") from None
