"""Operations in place, in whose stead others compute their results anew."""

import inspect
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from rlcompress.network.operations import is_tensor, operation


def compute_anew(graph: fx.GraphModule) -> None:
    """Replace operations in place by those that leave their operands as they are, in place; shapes are known.

    What reads a tensor after an operation on it reads the operation's result, so that the network computes the same
    and gradients can be taken. Views of the tensor are not followed, and operations that there are in place alone
    (``copy_``) stay.
    """
    modules = dict(graph.named_modules())
    place = {node: i for i, node in enumerate(graph.graph.nodes)}
    for node in reversed(graph.graph.nodes):
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if node.args and is_tensor(node.args[0]) and _overwrites(node, module):
            node.args[0].replace_all_uses_with(node, delete_user_cb=lambda user, by=node: place[user] > place[by])
            _leave_operand(node, module)
    graph.recompile()


def _overwrites(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a node writes its result over its first argument (``x += y`` is no such node: fx takes it for a sum)."""
    if node.op == "call_module":
        return bool(getattr(module, "inplace", False))
    if inspect.isfunction(node.target) and inspect.getmodule(node.target) is functional:
        return bool(inspect.signature(node.target).bind(*node.args, **node.kwargs).arguments.get("inplace", False))
    packet = getattr(node.target, "overloadpacket", node.target)
    name = str(getattr(packet, "__name__", packet))
    return node.op in ("call_function", "call_method") and name.endswith("_") and not name.endswith("__")


def _leave_operand(node: fx.Node, module: nn.Module | None) -> None:
    if module is not None:
        module.inplace = False  # type: ignore[assignment]
    elif inspect.isfunction(node.target):
        call = inspect.signature(node.target).bind(*node.args, **node.kwargs)
        call.arguments["inplace"] = False
        node.args, node.kwargs = call.args, call.kwargs
    else:
        node.target = _out_of_place(node)


def _out_of_place(node: fx.Node) -> Any:
    """The target's counterpart that gives a new tensor, or the target where there is none."""
    name = operation(node)
    if node.op == "call_method":
        return name if hasattr(Tensor, name) else node.target
    if isinstance(node.target, torch._ops.OpOverload):
        packet = getattr(getattr(torch.ops, node.target.namespace), name, None)
        return getattr(packet, node.target._overloadname, node.target)
    return getattr(torch, name, None) or getattr(functional, name, node.target)
