"""Calls of PyTorch's own functions and modules as plain data: no other code is ever written to or run from a file."""

import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlcompress.errors import NetworkError
from rlcompress.integer.steps import Apply
from rlcompress.network.operations import CONCATENATIONS, PAIRWISE, PLAIN, REDUCTIONS, RESHAPING

_FUNCTIONS = PLAIN | PAIRWISE | REDUCTIONS | CONCATENATIONS | RESHAPING | {
    "pad", "softmax", "log_softmax", "layer_norm", "group_norm", "batch_norm", "conv2d", "conv_transpose2d", "linear",
    "matmul", "bmm", "norm", "var", "std", "where", "prelu", "normalize",
}  # fmt: skip
"""Names of what may be called: functions of tensors without side effects."""

_HOMES: dict[str, Any] = {"operator": operator, "functional": functional, "torch": torch, "aten": torch.ops.aten}


@dataclass(frozen=True, slots=True)
class Call:
    """A call with its arguments; operands are written ``{"operand": i}``, slices ``{"slice": [start, stop, step]}``.

    Attributes:
        settings: JSON-able.
        tensors: of a module's state.
    """

    settings: dict[str, Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, step: Apply) -> "Call":
        """The call of a step.

        Raises:
            NetworkError: it is of no function or module of PyTorch's that may be written down.
        """
        arguments = {"args": _written(step.args, step), "kwargs": _written(step.kwargs, step)}
        if isinstance(step.function, nn.Module):
            settings = {"module": type(step.function).__name__, "config": _config(step.function), **arguments}
            tensors = {name: part for name, part in step.function.state_dict().items() if name not in _OF_CODES}
            return cls(settings, tensors)._rebuilt()
        if step.op == "call_method":
            return cls({"method": _allowed(str(step.target)), **arguments})
        return cls({"function": _function_name(step.function), **arguments})

    def _rebuilt(self) -> "Call":
        try:
            self._module()
        except (TypeError, RuntimeError):  # arguments that the module keeps under other names, or not
            kind = self.settings["module"]
            raise NetworkError(f"{kind} cannot be exported; let the network do without it") from None
        return self

    def function(self) -> Callable[..., Any]:
        """What is called, found again by its name.

        Raises:
            NetworkError: the name is of nothing that may be called.
        """
        if "module" in self.settings:
            return self._module()
        if "method" in self.settings:
            method = _allowed(self.settings["method"])
            return lambda x, *args, **kwargs: getattr(x, method)(*args, **kwargs)
        home, name, *overload = self.settings["function"].split(".")
        found = getattr(_HOMES[home], _allowed(name))
        if not overload:
            return found
        # of one function only: a path of any length would lead through its attributes to the whole interpreter
        if home != "aten" or len(overload) > 1 or overload[0] not in found.overloads():
            raise NetworkError(f"exported network: {self.settings['function']!r} is no known function; export it anew")
        return getattr(found, overload[0])

    def arguments(self, operands: tuple[Any, ...]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments with the operands put in."""
        return _read(self.settings["args"], operands), _read(self.settings["kwargs"], operands)

    def _module(self) -> nn.Module:
        kind = getattr(nn, self.settings["module"], None)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)) or kind.__name__ not in _MODULES:
            raise NetworkError(f"exported network: {self.settings['module']!r} is no known module; export it anew")
        with torch.device("meta"):  # takes no memory, whatever sizes a file names
            module = kind(**{key: _read(value, ()) for key, value in self.settings["config"].items()})
        module.load_state_dict(dict(self.tensors), assign=True)
        return module.eval().requires_grad_(False)


_OF_CODES = ("codes", "scale")  # of layers that compute with real weights all the same
_CONTAINERS = {"Module", "Sequential", "ModuleList", "ModuleDict", "DataParallel"}
_MODULES = frozenset(
    name for name in dir(nn) if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
).difference(_CONTAINERS)


def _config(module: nn.Module) -> dict[str, Any]:
    """The constructor's arguments, which PyTorch's layers keep under their names."""
    kind = type(module)
    if not kind.__module__.startswith("torch.nn.modules") or kind.__name__ not in _MODULES:
        raise NetworkError(f"{kind.__name__} cannot be exported; only modules of torch.nn and their functions can")
    names = [name for name in inspect.signature(kind.__init__).parameters if name not in ("self", "device", "dtype")]
    config = {name: _plain(getattr(module, name)) for name in names if hasattr(module, name) and name != "bias"}
    if "bias" in names:
        config["bias"] = getattr(module, "bias", None) is not None
    return config


def _function_name(function: Callable[..., Any]) -> str:
    packet = getattr(function, "overloadpacket", None)
    name = _allowed(str(getattr(packet or function, "__name__", function)))
    if packet is not None:
        return f"aten.{packet.__name__}.{function._overloadname}"  # type: ignore[attr-defined]
    for home, module in _HOMES.items():
        if getattr(module, name, None) is function:
            return f"{home}.{name}"
    raise NetworkError(f"function {name!r} cannot be exported; use torch's or torch.nn.functional's")


def _allowed(name: str) -> str:
    if name.rstrip("_") not in _FUNCTIONS:
        raise NetworkError(f"operation {name!r} cannot be exported; let the network do without it")
    return name


def _written(value: Any, step: Apply) -> Any:
    if isinstance(value, torch.fx.Node):
        return {"operand": step.position[value]}
    if isinstance(value, Mapping):
        return {key: _written(part, step) for key, part in value.items()}
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return [_written(part, step) for part in value]
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise NetworkError(f"an argument of type {type(value).__name__} cannot be exported; use numbers")


def _read(value: Any, operands: tuple[Any, ...]) -> Any:
    if isinstance(value, dict):
        if "operand" in value:
            return operands[value["operand"]]
        if "slice" in value:
            return slice(*value["slice"])
        if "ellipsis" in value:
            return ...
        return {key: _read(part, operands) for key, part in value.items()}
    return [_read(part, operands) for part in value] if isinstance(value, list) else value
