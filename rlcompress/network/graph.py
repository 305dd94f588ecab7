"""From an `nn.Module` to a torch.fx graph with BatchNorm folded and shapes known."""

import copy
import inspect
import traceback
from pathlib import Path

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from rlcompress.errors import NetworkError
from rlcompress.network.exported import exported_graph
from rlcompress.network.faithful import check_faithful
from rlcompress.network.in_place import compute_anew
from rlcompress.network.modular import make_modular
from rlcompress.network.operations import CONCATENATIONS, PAIRWISE, REDUCTIONS, operation
from rlcompress.network.stored_weights import with_stored_weights

_WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
"""Modules that only run another one -> their attribute that holds it; the last is what torch.compile gives."""


def folded_graph(model: nn.Module, example: Tensor) -> fx.GraphModule:
    """Trace a module in eval mode, fold BatchNorms that directly follow a layer, and record shapes.

    torch.fx traces; where it fails, torch.export. The given module is left as it is.

    Args:
        model: a module with one tensor argument and one tensor result, in float32.
        example: input [N, C, H, W] that the module accepts.

    Returns:
        A graph module whose nodes carry what `record_shapes` writes. Layers with a folded BatchNorm carry in
        ``node.meta["moments"]`` the mean and the standard deviation [K] of their outputs over the training images.

    Raises:
        NetworkError: the module cannot be traced, has other inputs, results or number types, fails on the example, or
            does not compute the same for every image alone.
    """
    check_module(model)
    graph = _traced(model, example)
    _check_inputs(model, sum(node.op == "placeholder" for node in graph.graph.nodes))
    _normalize_calls(graph)
    try:
        record_shapes(graph, example)
    except Exception as error:  # whatever the user's operators raise
        raise unfit(type(model).__name__, tuple(example.shape[1:]), first_line(error)) from None
    output = next(iter(graph.graph.output_node().all_input_nodes), None)
    if graph.graph.output_node().args != (output,) or output is None or output.meta["shape"] is None:
        raise NetworkError(
            f"{type(model).__name__} does not return one tensor; wrap it in a module that returns only the logits"
        )
    compute_anew(graph)
    make_modular(graph)
    _fold_batch_norms(graph)
    check_faithful(graph, model, example)
    return graph


def check_module(model: nn.Module) -> None:
    """Check what can be told of a network without running it.

    Raises:
        NetworkError: it only wraps another module, has other number types than float32, or several inputs.
    """
    kind = type(model).__name__
    if kind in _WRAPPERS:
        raise NetworkError(f"{kind} only wraps a network; give that itself, which is model.{_WRAPPERS[kind]}")
    _check_numbers(model)
    parameters = inspect.signature(model.forward).parameters.values()
    wanted = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(wanted) > 1:
        _check_inputs(model, len(wanted))


def _check_inputs(model: nn.Module, count: int) -> None:
    if count != 1:
        raise NetworkError(f"{type(model).__name__} has {count} inputs; wrap it in a module with one tensor input")


def unfit(name: str, shape: tuple[int, ...], reason: str) -> NetworkError:
    """The error of a network that fails on an image of a shape (C, H, W)."""
    what = "as many channels as it takes (image folders have 3)" if "channels" in reason else "the size that it takes"
    return NetworkError(
        f"{name} does not accept an input of shape {shape} ({reason}); give data, or an --input-shape C,H,W, of {what}"
    )


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, or its type."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _check_numbers(model: nn.Module) -> None:
    for name, tensor in model.named_parameters():
        if tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            mend = "give a network of real weights" if tensor.is_complex() else "convert it with model.float()"
            raise NetworkError(f"{type(model).__name__}: {name!r} is {kind}, not float32; {mend}")


def _traced(model: nn.Module, example: Tensor) -> fx.GraphModule:
    try:
        model = with_stored_weights(model)
        return fx.symbolic_trace(copy.deepcopy(model))
    except (Exception, SystemExit) as error:  # a user's forward may raise anything while it is traced
        first = error
    try:
        return exported_graph(model, example)
    except Exception as second:
        line = _line_of(first) or _line_of(second)
        also = f"; torch.export: {first_line(second)}" if isinstance(second, NetworkError) else ""
        raise NetworkError(
            f"{type(model).__name__} cannot be traced by torch.fx ({first_line(first)}{also}){line}; "
            "keep control flow that depends on tensor values out of forward()"
        ) from None


def _line_of(error: BaseException) -> str:
    """Where in the user's own code an exception was raised."""
    ours = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]), "<")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)]
    if not frames:
        return ""
    return f" at {Path(frames[-1].filename).name}, line {frames[-1].lineno}: {frames[-1].line}"


def record_shapes(graph: fx.GraphModule, example: Tensor) -> None:
    """Run a graph on one image [1, C, H, W] and write what its nodes give into their meta data.

    A ``squeeze()`` of all dimensions of size 1 is told which ones, so that it leaves that of the images alone.
    ``meta["shape"]`` is the output's shape, None for what is no tensor; ``meta["plain"]`` says whether it is a plain
    number or shape, and ``meta["value"]`` is that number or shape.
    """
    with torch.no_grad():
        _ShapeRecorder(graph).run(example[:1])


class _ShapeRecorder(fx.Interpreter):
    def run_node(self, n: fx.Node) -> object:
        if operation(n) == "squeeze" and len(n.args) + len(n.kwargs) == 1:
            shape = self.env[n.all_input_nodes[0]].shape
            n.op, n.target = "call_function", torch.squeeze
            n.args = (n.args[0], tuple(dim for dim, size in enumerate(shape) if dim > 0 and size == 1))
        result = super().run_node(n)
        n.meta["shape"] = tuple(result.shape) if isinstance(result, Tensor) else None
        n.meta["plain"] = isinstance(result, int | float | bool | torch.Size | torch.dtype | torch.device)
        n.meta["value"] = result if n.meta["plain"] else None
        return result


def _normalize_calls(graph: fx.GraphModule) -> None:
    """Pass tensors by position, name dimensions alike, and reshape where the layout of images may not allow a view."""
    for node in graph.graph.nodes:
        first = next((key for key in ("input", "tensors") if key in node.kwargs), None)
        if first is not None and not node.args:
            node.args = (node.kwargs[first],)
            node.kwargs = {key: value for key, value in node.kwargs.items() if key != first}
        if operation(node) in PAIRWISE and "other" in node.kwargs and len(node.args) == 1:
            node.args = (*node.args, node.kwargs["other"])
            node.kwargs = {key: value for key, value in node.kwargs.items() if key != "other"}
        if operation(node) in REDUCTIONS | CONCATENATIONS and "axis" in node.kwargs:
            node.kwargs = {"dim" if key == "axis" else key: value for key, value in node.kwargs.items()}
        if node.op == "call_method" and node.target == "view" and torch.dtype not in map(type, node.args):
            node.target = "reshape"


def _fold_batch_norms(graph: fx.GraphModule) -> None:
    modules = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        batch_norm = modules.get(node.target) if node.op == "call_module" else None
        if not isinstance(batch_norm, nn.BatchNorm1d | nn.BatchNorm2d) or batch_norm.running_var is None:
            continue
        _make_affine(batch_norm)
        producer = node.args[0]
        layer = modules.get(producer.target) if producer.op == "call_module" else None
        of_tokens = isinstance(layer, nn.Linear) and len(node.meta["shape"]) != 2  # channels are not the features
        read_once = len(producer.users) == 1 and _calls(graph, producer) == 1
        if isinstance(layer, nn.Conv2d | nn.Linear) and read_once and not of_tokens:
            fuse = fuse_conv_bn_eval if isinstance(layer, nn.Conv2d) else fuse_linear_bn_eval
            modules[producer.target] = fuse(layer, batch_norm)  # type: ignore[type-var]
            producer.meta["moments"] = _moments(batch_norm)
            graph.set_submodule(producer.target, modules[producer.target])
            node.replace_all_uses_with(producer)
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()


def _make_affine(batch_norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Give a BatchNorm without weight and bias those that change nothing, in place."""
    if not batch_norm.affine:
        batch_norm.affine = True
        batch_norm.weight = nn.Parameter(torch.ones(batch_norm.num_features), requires_grad=False)
        batch_norm.bias = nn.Parameter(torch.zeros(batch_norm.num_features), requires_grad=False)


def _moments(batch_norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [K] of what a BatchNorm gives over the images that its statistics come from."""
    variance = batch_norm.running_var
    assert variance is not None
    gain = batch_norm.weight.detach().abs()
    return batch_norm.bias.detach().clone(), gain * (variance / (variance + batch_norm.eps)).sqrt()


def _calls(graph: fx.GraphModule, node: fx.Node) -> int:
    return sum(other.op == "call_module" and other.target == node.target for other in graph.graph.nodes)
