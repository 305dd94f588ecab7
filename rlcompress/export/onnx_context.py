"""What the ONNX rules of PyTorch's functions and modules look at."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from rlcompress.errors import NetworkError
from rlcompress.export.calls import Call
from rlcompress.export.onnx_graph import OnnxGraph
from rlcompress.export.records import Record


class Context:
    """A call with its operands' ONNX names, and access to its arguments by position or name."""

    def __init__(self, graph: OnnxGraph, call: Call, record: Record) -> None:
        self.graph, self.call, self.record = graph, call, record
        self.args, self.kwargs = call.arguments(tuple(graph.names[i] for i in record.inputs))
        self.shape = graph.shapes[record.output]
        self.source = graph.shapes[record.inputs[0]]
        self.config = call.settings.get("config", {})

    @property
    def x(self) -> Any:
        """The name of the first operand, or names of several."""
        return self.args[0] if self.args else self.kwargs["input"]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """A function's argument by position or name, a module's setting by name."""
        if "module" in self.call.settings:
            return self.config.get(name, default)
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> Any:
        """Append a node, see `OnnxGraph.node`."""
        return self.graph.node(kind, list(inputs), **attributes)

    def number(self, value: Any) -> str:
        """An operand, or a constant."""
        return value if isinstance(value, str) else self.graph.constant(value)

    def tensor(self, name: str) -> str:
        """A tensor of a module, as a constant."""
        return self.graph.constant(self.held(name).numpy())

    def held(self, name: str) -> Tensor:
        """A tensor of a module."""
        if name not in self.call.tensors:
            raise NetworkError(f"an operator that computes its {name} has no ONNX rule; export as safetensors or torch")
        return self.call.tensors[name]

    def integers(self, values: Any) -> str:
        """An int64 constant."""
        return self.graph.constant(values, np.int64)


Rule = Callable[[Context], Any]
"""Appends the nodes of a call; gives the name of its output, or names of several."""


def pair(value: Any) -> list[Any]:
    """A size or factor in both directions."""
    return list(value) if isinstance(value, list) else [value, value]


def per_channel(c: Context, position: int, name: str) -> str | None:
    """A module's tensor or a function's argument of one value a channel, in a shape that fits the channels."""
    if "module" in c.call.settings:
        held = c.tensor(name) if name in c.call.tensors else None
    else:
        held = c.argument(position, name)
    return None if held is None else str(c.node("Reshape", held, c.integers([-1, *[1] * (len(c.source) - 2)])))
