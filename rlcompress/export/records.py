"""`Recording`: an integer network as plain data, from which every file format and every engine is made."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from rlcompress.export.calls import Call
from rlcompress.integer.channels import Place
from rlcompress.integer.engines import IntegerConv
from rlcompress.integer.lowering import lowered
from rlcompress.integer.network import Instruction
from rlcompress.integer.semantics import Requantization
from rlcompress.integer.steps import (
    Affine,
    Apply,
    AsImage,
    AverageCodes,
    AverageReal,
    Constant,
    Load,
    MaxPool,
    Pad,
    Store,
)


@dataclass(frozen=True, slots=True)
class Record:
    """One step.

    Attributes:
        kind: ``store``, ``load``, ``layer`` (codes to real values), ``requantized`` (codes to codes),
            ``average_codes``, ``average_real``, ``pad``, ``place``, ``max_pool``, ``call`` (on real values), ``move``
            (of codes), ``add``, ``clamp`` or ``constant``.
        inputs: numbers of the values it gets; value 0 is the images.
        output: number of the value it makes.
        settings: JSON-able, by the names of the semantics.
        tensors: name -> tensor.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    settings: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole network.

    Attributes:
        records: in execution order.
        output: number of the value that is returned.
    """

    records: tuple[Record, ...]
    output: int


class _RecordedConv(nn.Module):
    def __init__(self, conv: IntegerConv, target: Requantization | None = None) -> None:
        super().__init__()
        self.conv, self.target = conv, target


class _Recorder:
    """An engine that only remembers what it is asked for."""

    name = "recorder"
    device = "cpu"
    code_type = torch.float32
    overwrites_residuals = False

    def accumulator(self, conv: IntegerConv) -> nn.Module:
        return _RecordedConv(conv)

    def requantized(self, conv: IntegerConv, to: Requantization) -> nn.Module:
        return _RecordedConv(conv, to)

    def finish(self) -> None:
        pass


def record(stitched: fx.GraphModule) -> Recording:
    """Lower a stitched network to integers and write down every step.

    Raises:
        NetworkError: an operator cannot be written down.
        RunError: weights or activations have more than 8 bits.
    """
    program, output = lowered(stitched, _Recorder())
    return Recording(tuple(_record(instruction) for instruction in program.instructions), output)


def _record(instruction: Instruction) -> Record:
    kind, settings, tensors = _contents(instruction.step)
    return Record(kind, instruction.inputs, instruction.output, settings, dict(tensors))


def _contents(step: Any) -> tuple[str, dict[str, Any], Mapping[str, Tensor]]:
    """Kind, settings and tensors of a step."""
    match step:
        case Store():
            return "store", {"at": asdict(step.at), "bounds": asdict(step.bounds)}, {}
        case Load():
            return "load", {"at": asdict(step.at)}, {}
        case AsImage() | _RecordedConv():
            return _conv(step)
        case Affine():
            _, settings, tensors = _conv(step.accumulator)
            return "layer", settings, {**tensors, "scale": step.scale, "bias": step.bias}
        case AverageCodes():
            return "average_codes", {"window": asdict(step.window), "at": asdict(step.at)}, {}
        case AverageReal():
            return "average_real", {"window": asdict(step.window), "at": asdict(step.target)}, {}
        case Pad():
            return "pad", {"pads": list(step.pads), "zero_point": step.zero_point}, {}
        case Place():
            return "place", {"count": step.count, "fill": step.fill}, {"positions": step.positions}
        case Constant():
            return "constant", {}, {"value": step.value}
        case MaxPool():
            call = Call.of(step.pool)
            return "max_pool", {"call": call.settings}, call.tensors
        case Apply():
            call = Call.of(step)
            return "call" if step.real else "move", {"call": call.settings}, call.tensors
        case partial():
            return "clamp", {"low": _finite(step.keywords["min"]), "high": _finite(step.keywords["max"])}, {}
    assert step is torch.add
    return "add", {}, {}


def _conv(step: Any) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    flat = isinstance(step, AsImage)
    recorded = step.conv if isinstance(step, AsImage) else step
    assert isinstance(recorded, _RecordedConv)
    conv, to = recorded.conv, recorded.target
    names = ("zero_point", "largest_input", "stride", "padding", "dilation", "groups", "name")
    settings = {"flat": flat, **{name: getattr(conv, name) for name in names}}
    tensors = {"codes": conv.codes}
    if to is None:
        return "layer", settings, tensors
    settings |= {"ratio": to.ratio, "bounds": asdict(to.bounds)}
    return "requantized", settings, {**tensors, "multiplier": to.multiplier, "bias": to.bias}


def _finite(bound: float) -> float | None:
    return None if abs(bound) == float("inf") else bound
