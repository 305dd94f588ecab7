"""From an `nn.Module` to a torch.fx graph with BatchNorm folded and shapes known."""

import copy

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from rlcompress.errors import NetworkError


def folded_graph(model: nn.Module, example: Tensor) -> fx.GraphModule:
    """Trace a module in eval mode, fold BatchNorms that directly follow a layer, and record shapes.

    The given module is left as it is.

    Args:
        model: a module with one tensor argument.
        example: input [N, C, H, W] that the module accepts.

    Returns:
        A graph module whose nodes carry their output's shape in ``node.meta["shape"]`` (None for non-tensors) and
        in ``node.meta["plain"]`` whether it is a plain number or shape.

    Raises:
        NetworkError: torch.fx cannot trace the module, or it fails on the example.
    """
    try:
        graph = fx.symbolic_trace(copy.deepcopy(model).eval())
    except Exception as error:  # a user's forward may raise anything while it is traced
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NetworkError(
            f"{type(model).__name__} cannot be traced by torch.fx ({reason}); "
            "keep control flow that depends on tensor values out of forward()"
        ) from None
    inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise NetworkError(
            f"{type(model).__name__} has {len(inputs)} inputs; wrap it in a module with one tensor input"
        )
    _normalize_calls(graph)
    _fold_batch_norms(graph)
    try:
        _ShapeRecorder(graph).run(example)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NetworkError(
            f"{type(model).__name__} does not accept an input of shape {tuple(example.shape[1:])} ({reason}); "
            "give its shape with --input-shape C,H,W"
        ) from None
    return graph


class _ShapeRecorder(fx.Interpreter):
    """Runs a graph once and writes each node's output shape into its meta data."""

    def run_node(self, n: fx.Node) -> object:
        with torch.no_grad():
            result = super().run_node(n)
        n.meta["shape"] = tuple(result.shape) if isinstance(result, Tensor) else None
        n.meta["plain"] = isinstance(result, int | float | bool | torch.Size | torch.dtype | torch.device)
        return result


def _normalize_calls(graph: fx.GraphModule) -> None:
    """Pass the first argument by position, and reshape where the layout of the images may not allow a view."""
    for node in graph.graph.nodes:
        first = next((key for key in ("input", "tensors") if key in node.kwargs), None)
        if first is not None and not node.args:
            node.args = (node.kwargs[first],)
            node.kwargs = {key: value for key, value in node.kwargs.items() if key != first}
        if node.op == "call_method" and node.target == "view" and torch.dtype not in map(type, node.args):
            node.target = "reshape"


def _fold_batch_norms(graph: fx.GraphModule) -> None:
    modules = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        batch_norm = modules.get(node.target) if node.op == "call_module" else None
        if not isinstance(batch_norm, nn.BatchNorm1d | nn.BatchNorm2d) or batch_norm.running_var is None:
            continue
        producer = node.args[0]
        layer = modules.get(producer.target) if producer.op == "call_module" else None
        if isinstance(layer, nn.Conv2d | nn.Linear) and len(producer.users) == 1 and _calls(graph, producer) == 1:
            fuse = fuse_conv_bn_eval if isinstance(layer, nn.Conv2d) else fuse_linear_bn_eval
            modules[producer.target] = fuse(layer, batch_norm)  # type: ignore[type-var]
            graph.set_submodule(producer.target, modules[producer.target])
            node.replace_all_uses_with(producer)
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()


def _calls(graph: fx.GraphModule, node: fx.Node) -> int:
    return sum(other.op == "call_module" and other.target == node.target for other in graph.graph.nodes)
