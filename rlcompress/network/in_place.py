"""Operations in place, whose operands are read again."""

import inspect

from torch import fx
from torch.nn import functional

from rlcompress.network.operations import is_tensor


def read_results(graph: fx.GraphModule) -> None:
    """Let what reads a tensor after an operation in place on it read the operation's result; shapes are known.

    So every operator may run on a copy and the network computes the same. Views of the tensor are not followed.
    """
    modules = dict(graph.named_modules())
    place = {node: i for i, node in enumerate(graph.graph.nodes)}
    for node in reversed(graph.graph.nodes):
        if node.args and is_tensor(node.args[0]) and _overwrites(node, modules.get(str(node.target))):
            node.args[0].replace_all_uses_with(node, delete_user_cb=lambda user, by=node: place[user] > place[by])
    graph.recompile()


def _overwrites(node: fx.Node, module: object) -> bool:
    """Whether a node writes its result over its first argument (``x += y`` is no such node: fx takes it for a sum)."""
    if node.op == "call_module":
        return bool(getattr(module, "inplace", False))
    if inspect.isfunction(node.target) and inspect.getmodule(node.target) is functional:
        return bool(inspect.signature(node.target).bind(*node.args, **node.kwargs).arguments.get("inplace", False))
    packet = getattr(node.target, "overloadpacket", node.target)
    name = str(getattr(packet, "__name__", packet))
    return node.op in ("call_function", "call_method") and name.endswith("_") and not name.endswith("__")
