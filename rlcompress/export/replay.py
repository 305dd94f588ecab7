"""From a recording back to a network that runs."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rlcompress.export.calls import Call
from rlcompress.export.records import Record, Recording
from rlcompress.integer import IntegerNetwork, engine_named
from rlcompress.integer.channels import Place
from rlcompress.integer.engines import Engine, IntegerConv
from rlcompress.integer.network import Program
from rlcompress.integer.semantics import Bounds, Requantization
from rlcompress.integer.steps import (
    Affine,
    AsImage,
    AverageCodes,
    AverageReal,
    Constant,
    Load,
    MaxPool,
    Pad,
    Store,
    Window,
    on_cpu,
)
from rlcompress.quantization import ActivationRange


def replayed(recording: Recording, engine: str = "auto") -> IntegerNetwork:
    """The integer network that a recording describes, executed by an engine.

    Raises:
        RunError: the engine is unknown or does not work here.
        NetworkError: the recording calls what may not be called.
    """
    chosen = engine_named(engine)
    program, output = _program(recording, chosen)
    return IntegerNetwork(program, output, chosen)


def shapes(recording: Recording, example: Tensor) -> dict[int, Any]:
    """Shape of every value for images like ``example``; a list of shapes where a value is a tuple of tensors."""
    program, _ = _program(recording, engine_named("portable"))
    values: dict[int, Any] = {0: example}
    for record, instruction in zip(recording.records, program.instructions, strict=True):
        values[record.output] = instruction.step(*(values[i] for i in record.inputs))
    return {number: shape_of(value) for number, value in values.items()}


def shape_of(value: Any) -> Any:
    """A tensor's shape, a list of shapes for several tensors, None for nothing.

    >>> shape_of((torch.ones(2, 3), None))
    [(2, 3), None]
    """
    if isinstance(value, Tensor):
        return tuple(value.shape)
    return None if value is None else [shape_of(part) for part in value]


def _program(recording: Recording, engine: Engine) -> tuple[Program, int]:
    program, value = Program(), {0: 0}
    for record in recording.records:
        inputs = tuple(value[i] for i in record.inputs)
        taken = inputs[1] if engine.overwrites_residuals and record.kind == "requantized" and len(inputs) > 1 else None
        step = _step(record, engine)
        value[record.output] = program.add(step, *inputs, overwrites=taken, aliases=record.kind in ("move", "call"))
    return program, value[recording.output]


class _Called(nn.Module):
    """A PyTorch function on operands; on real values it gets contiguous copies."""

    def __init__(self, call: Call, *, real: bool) -> None:
        super().__init__()
        self.call, self.real, self.function = call, real, call.function()

    def forward(self, *operands: Any) -> Any:
        return on_cpu(self._called, operands) if self.real else self._called(*operands)

    def _called(self, *operands: Any) -> Any:
        args, kwargs = self.call.arguments(operands)
        if self.call.settings.get("function") == "operator.getitem" and isinstance(args[1], list):
            args[1] = tuple(args[1])
        return self.function(*args, **kwargs)


def _step(record: Record, engine: Engine) -> Any:
    settings, tensors = record.settings, record.tensors
    match record.kind:
        case "store":
            return Store(_range(settings), Bounds(**settings["bounds"]), engine.code_type)
        case "load":
            return Load(_range(settings))
        case "layer":
            return Affine(_flat(engine.accumulator(_conv(record)), settings), tensors["scale"], tensors["bias"])
        case "requantized":
            bounds = Bounds(**settings["bounds"])
            to = Requantization(tensors["multiplier"], tensors["bias"], settings["ratio"], bounds)
            return _flat(engine.requantized(_conv(record), to), settings)
        case "average_codes":
            return AverageCodes(_window(settings), _range(settings))
        case "average_real":
            return AverageReal(_window(settings), _range(settings))
        case "pad":
            return Pad(tuple(settings["pads"]), settings["zero_point"])
        case "place":
            return _place(record)
        case "max_pool":
            return MaxPool(_Called(Call(settings["call"], tensors), real=False))  # type: ignore[arg-type]
        case "add":
            return torch.add
        case "clamp":
            low, high = settings["low"], settings["high"]
            return partial(torch.clamp, min=-math.inf if low is None else low, max=math.inf if high is None else high)
        case "constant":
            return Constant(tensors["value"])
    return _Called(Call(settings["call"], tensors), real=record.kind == "call")


def _place(record: Record) -> Place:
    want = torch.ones(record.settings["count"], dtype=torch.bool)
    have = torch.zeros_like(want).index_fill_(0, record.tensors["positions"], value=True)
    return Place(have, want, record.settings["fill"])


def _range(settings: dict[str, Any]) -> ActivationRange:
    return ActivationRange(**settings["at"])


def _window(settings: dict[str, Any]) -> Window:
    pool = settings["window"]["pool"]
    return Window(None if pool is None else tuple(pool), settings["window"]["keepdim"])


def _conv(record: Record) -> IntegerConv:
    names = ("zero_point", "largest_input", "stride", "padding", "dilation", "groups", "name")
    read = {name: record.settings[name] for name in names}
    pairs = {name: tuple(value) for name, value in read.items() if isinstance(value, list | tuple)}
    return IntegerConv(record.tensors["codes"], **{**read, **pairs})


def _flat(conv: Any, settings: dict[str, Any]) -> Any:
    return AsImage(conv) if settings["flat"] else conv
