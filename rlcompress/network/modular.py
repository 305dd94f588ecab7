"""Functional calls with weights of their own become modules, so that they are layers like any other."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, fx, nn

from rlcompress.network.operations import attribute, operation

_CONV = inspect.Signature([
    inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
    for name, default in (("input", None), ("weight", None), ("bias", None), ("stride", 1), ("padding", 0),
                          ("dilation", 1), ("groups", 1))
])  # fmt: skip
_LINEAR = inspect.Signature(list(_CONV.parameters.values())[:3])
_BATCH_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_EXPORTED_BATCH_NORM = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")


def make_modular(graph: fx.GraphModule) -> None:
    """Replace ``conv2d``, ``linear`` and ``batch_norm`` on stored weights by modules, in place; shapes are known.

    A module takes the name of the one that held the weights, if that held nothing else; two calls that differ in
    their input alone call one module. Calls with computed weights stay as they are.
    """
    made: dict[tuple[str, ...], str] = {}
    for node in list(graph.graph.nodes):
        make = _MAKERS.get(operation(node)) if node.op == "call_function" else None
        module = make(graph, node) if make is not None else None
        if module is None:
            continue
        weights = [str(part.target) for part in node.all_input_nodes if part.op == "get_attr"]
        key = (*weights, module.extra_repr())
        if key not in made:
            made[key] = _free_name(graph, weights)
            graph.set_submodule(made[key], module.eval())
        with graph.graph.inserting_before(node):
            call = graph.graph.call_module(made[key], (node.args[0] if node.args else node.kwargs["input"],))
            call.meta = dict(node.meta)
        node.replace_all_uses_with(call)
        graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()


def _conv(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    given = _CONV.bind(*node.args, **node.kwargs)
    given.apply_defaults()
    call = given.arguments
    weight, bias = _held(graph, call["weight"]), _held(graph, call["bias"])
    if weight is None or weight.dim() != 4 or (bias is None) != (call["bias"] is None):
        return None
    padding = call["padding"] if isinstance(call["padding"], str) else _pair(call["padding"])
    module = nn.Conv2d(
        weight.shape[1] * call["groups"], weight.shape[0], tuple(weight.shape[2:]),  # type: ignore[arg-type]
        _pair(call["stride"]), padding, _pair(call["dilation"]), call["groups"], bias is not None,
    )  # fmt: skip
    return _with_weights(module, weight=weight, bias=bias)


def _linear(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    call = _LINEAR.bind(*node.args, **node.kwargs).arguments
    weight, bias = _held(graph, call["weight"]), _held(graph, call.get("bias"))
    if weight is None or (bias is None) != (call.get("bias") is None):
        return None
    return _with_weights(nn.Linear(weight.shape[1], weight.shape[0], bias is not None), weight=weight, bias=bias)


def _batch_norm(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    names = _EXPORTED_BATCH_NORM if hasattr(node.target, "overloadpacket") else _BATCH_NORM
    call = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    tensors = ("running_mean", "running_var", "weight", "bias")
    held = {name: _held(graph, call[name]) for name in tensors if call.get(name) is not None}
    mean = held.get("running_mean")
    if mean is None or any(tensor is None for tensor in held.values()) or call.get("training"):
        return None
    eps = call.get("eps", 1e-5)
    assert isinstance(eps, float)
    kind = nn.BatchNorm2d if len(node.meta["shape"]) == 4 else nn.BatchNorm1d
    return _with_weights(kind(len(mean), eps=eps, affine="weight" in held), **held)


_MAKERS: dict[str, Callable[[fx.GraphModule, fx.Node], nn.Module | None]] = {
    "conv2d": _conv,
    "linear": _linear,
    "batch_norm": _batch_norm,
}


def _held(graph: fx.GraphModule, node: object) -> Tensor | None:
    """A tensor that the graph's module holds; None for what is computed."""
    return attribute(graph, node) if isinstance(node, fx.Node) and node.op == "get_attr" else None


def _pair(value: Any) -> tuple[int, int]:
    values = (value, value) if isinstance(value, int) else tuple(value)
    return (values[0], values[-1])


def _with_weights(module: nn.Module, **tensors: Tensor | None) -> nn.Module:
    for name, tensor in tensors.items():
        if tensor is not None and name.startswith("running"):
            setattr(module, name, tensor.detach().clone())
        elif tensor is not None:
            setattr(module, name, nn.Parameter(tensor.detach().clone(), requires_grad=False))
    return module


def _free_name(graph: fx.GraphModule, weights: list[str]) -> str:
    """The name of the module that holds the weights, or one beside them if it holds more."""
    owner = weights[0].rpartition(".")[0]
    held = {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    others = {name for name in held if name.rpartition(".")[0] == owner} - set(weights)
    others = {name for name in others if not name.endswith("num_batches_tracked")}
    called = any(node.op == "call_module" and node.target == owner for node in graph.graph.nodes)
    if owner and not others and not called and not list(graph.get_submodule(owner).children()):
        return owner
    name, number = f"{weights[0]}_layer", 1
    while name in dict(graph.named_modules()):
        number += 1
        name = f"{weights[0]}_layer{number}"
    return name
