"""`IntegerNetwork`: a list of instructions that an engine executes."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from rlcompress.integer.engines import Engine, Step
from rlcompress.integer.steps import Apply


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step of a program.

    Attributes:
        step: what to call.
        inputs: numbers of the values it gets; value 0 is the images.
        output: number of the value it makes.
        overwrites: number of the value whose memory it takes, or None.
        aliases: whether its output may share memory with its first input.
    """

    step: Step
    inputs: tuple[int, ...]
    output: int
    overwrites: int | None = None
    aliases: bool = False


@dataclass
class Program:
    """Instructions in the order of execution."""

    instructions: list[Instruction] = field(default_factory=list)
    values: int = 1

    def add(self, step: Step, *inputs: int, overwrites: int | None = None, aliases: bool = False) -> int:
        """Append a step; returns the number of its value."""
        self.instructions.append(Instruction(step, inputs, self.values, overwrites, aliases))
        self.values += 1
        return self.values - 1


class IntegerNetwork(nn.Module):
    """A compressed network with the semantics of `rlcompress.integer.semantics`.

    Images [N, C, H, W], normalised float32, -> outputs, float32. The outputs of an image are the same bits whatever
    the engine, the batch, the memory layout and the number of threads.

    Args:
        program: what to execute; values that it does not make, beside the images, are given to `run`.
        output: number of the value that `forward` returns.
        engine: that made the steps.
        kept: numbers of values that `run` returns as well.
        spent: whether values that are given may be overwritten; otherwise they stay as they are.

    Attributes:
        engine: name of the engine.
        code_bytes: of a stored number, see `rlcompress.memory.images_at_once`.
    """

    def __init__(
        self, program: Program, output: int, engine: Engine, kept: Iterable[int] = (), *, spent: bool = False
    ) -> None:
        super().__init__()
        self.engine, self.code_bytes, self._device = engine.name, engine.code_type.itemsize, engine.device
        self._output = output
        self._steps = nn.ModuleList(i.step for i in program.instructions if isinstance(i.step, nn.Module))
        for step in self._steps:
            if not isinstance(step, Apply):  # what is not an engine's own runs on the CPU
                step.to(engine.device)
        last = _last_uses(program, (output, *kept), spent=spent)
        shared = {value for i in program.instructions if i.aliases for value in (i.output, *i.inputs)}
        self._plan = []
        for n, i in enumerate(program.instructions):
            done = tuple(value for value in set(i.inputs) if last[value] == n)
            self._plan.append((i.step, i.inputs, i.output, _copied(i, done, shared), done))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, classes], or whatever the network gives."""
        output: Tensor = self.run({0: images})[self._output]
        return output

    @torch.no_grad()
    def run(self, values: Mapping[int, Any]) -> dict[int, Any]:
        """Values of the program that are given -> those that are not spent, the ones to keep and the output."""
        known = {number: value.to(self._device) for number, value in values.items()}
        for step, inputs, output, copied, done in self._plan:
            operands = [known[i].clone() if i == copied else known[i] for i in inputs]
            known[output] = step(*operands)
            for i in done:
                del known[i]
        known[self._output] = known[self._output].cpu()
        return known


def _last_uses(program: Program, needed: Iterable[int], *, spent: bool) -> dict[int, int]:
    """Value -> position of the last instruction that reads it; beyond the program for those that are needed later."""
    made = {i.output for i in program.instructions}
    last = {value: n for n, i in enumerate(program.instructions) for value in i.inputs}
    given = set() if spent else last.keys() - made
    return last | dict.fromkeys((*needed, *given), len(program.instructions))


def _copied(instruction: Instruction, done: Collection[int], shared: Collection[int]) -> int | None:
    """The value that has to be copied first, because its memory is overwritten but read again."""
    value = instruction.overwrites
    if value is None:
        return None
    needed = value not in done or instruction.inputs.count(value) > 1
    return value if value in shared or needed else None
