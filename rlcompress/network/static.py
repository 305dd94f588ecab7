"""Graphs whose sizes are numbers: what leaves Python has no arithmetic on shapes."""

from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import torch
from torch import Tensor, fx

from rlcompress.errors import NetworkError
from rlcompress.network.graph import record_shapes
from rlcompress.network.operations import operation, value_of

_EXPANSIONS = ("expand", "expand_as")
_RESHAPES = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as")


def make_static(graph: fx.GraphModule, example: Tensor) -> None:
    """Write the sizes of one image into a graph's views and arguments, in place; the batch stays free.

    Args:
        graph: a graph that takes images [N, C, H, W].
        example: an image [1, C, H, W] of the size that the graph will take from now on; its values do not matter.

    Raises:
        NetworkError: the graph computes something else than a view from the number of images.
    """
    record_shapes(graph, example)
    images = torch.rand(3, *example.shape[1:], generator=torch.Generator().manual_seed(0))  # of one colour: 0 / 0
    with torch.no_grad():
        wanted = graph(images)
    constant = constants(graph)
    for node in list(graph.graph.nodes):
        shape, name = node.meta["shape"], operation(node)
        if name in _EXPANSIONS and node.args[0] in constant and shape is not None and shape[0] == 1:
            _spread_over_images(graph.graph, node)
        elif name in _RESHAPES and shape is not None and shape[0] == 1:
            node.op, node.target, node.kwargs = "call_function", torch.reshape, {}
            node.args = (node.args[0], (-1, *shape[1:]))
        elif name in _EXPANSIONS and shape is not None:
            node.op, node.target, node.kwargs = "call_method", "expand", {}
            node.args = (node.args[0], -1, *shape[1:])
        elif not node.meta["plain"]:
            node.args = fx.map_arg(node.args, _number)
            node.kwargs = fx.map_arg(node.kwargs, _number)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    record_shapes(graph, example)
    with torch.no_grad():
        if any(node.meta["plain"] for node in graph.graph.nodes) or not _same(graph, images, wanted):
            raise NetworkError("forward() computes with the number of images; use it for views alone")


def constants(graph: fx.GraphModule) -> set[fx.Node]:
    """Nodes whose tensors are the same whatever the images are; shapes are known."""
    found = set[fx.Node]()
    for node in graph.graph.nodes:
        tensors = [part for part in node.all_input_nodes if not part.meta["plain"]]
        if node.op == "get_attr" or (node.op.startswith("call") and tensors and found.issuperset(tensors)):
            found.add(node)
    return found


def _spread_over_images(graph: fx.Graph, node: fx.Node) -> None:
    """Let each image have a constant of its own by a sum that broadcasts: images * 0 + constant."""
    images = next(n for n in graph.nodes if n.op == "placeholder")
    rank = len(node.meta["shape"])
    plain = {"plain": False, "value": None}
    with graph.inserting_before(node):
        one = graph.call_function(torch.sum, (images, tuple(range(1, len(images.meta["shape"])))))
        zero = graph.call_function(torch.mul, (one, 0.0))
        column = graph.call_function(torch.reshape, (zero, (-1, *[1] * (rank - 1))))
        same = graph.call_method("expand", (node.args[0], 1, *node.meta["shape"][1:]))
    for new, shape in ((one, (1,)), (zero, (1,)), (column, (1,) * rank), (same, node.meta["shape"])):
        new.meta.update(plain, shape=shape)
    node.op, node.target, node.args, node.kwargs = "call_function", torch.add, (same, column), {}


def _number(node: fx.Node) -> Any:
    return value_of(node) if node.meta["plain"] else node


def _same(graph: fx.GraphModule, images: Tensor, wanted: Tensor) -> bool:
    try:
        with redirect_stderr(StringIO()):  # where torch.fx prints the code that failed
            return torch.equal(graph(images), wanted)
    except RuntimeError:
        return False
