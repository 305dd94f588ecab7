"""What an engine is asked to do, and which one to take."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from rlcompress.integer.semantics import Requantization

Step = Callable[..., Any]
"""What a program calls: an `nn.Module` where it has tensors that follow the network to another device."""


@dataclass(frozen=True, slots=True)
class IntegerConv:
    """A convolution of codes; a linear layer is one of 1x1 pixels.

    Attributes:
        codes: of the weight, int8 [K, C / G, R, S].
        zero_point: of the input's codes, which pads it.
        largest_input: code.
        stride: vertical, horizontal.
        padding: vertical, horizontal.
        dilation: vertical, horizontal.
        groups: G.
        name: of the layer.
    """

    codes: Tensor
    zero_point: int
    largest_input: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    name: str = ""

    @property
    def largest_sum(self) -> int:
        """No partial sum of an accumulator is larger in magnitude."""
        rows = self.codes.flatten(1).int()
        positive, negative = rows.clamp_min(0).sum(1), (-rows).clamp_min(0).sum(1)
        above, below = self.largest_input - self.zero_point, self.zero_point
        sums = torch.maximum(positive * above + negative * below, negative * above + positive * below)
        return int(sums.max())


class Engine(Protocol):
    """Executes convolutions of codes.

    Attributes:
        name: on the command line.
        device: of PyTorch, that the steps run on; images and outputs are on the CPU.
        code_type: of stored tensors.
        overwrites_residuals: whether the output takes the residual's memory.
    """

    name: str
    device: str
    code_type: torch.dtype
    overwrites_residuals: bool

    def accumulator(self, conv: IntegerConv) -> Step:
        """A step from codes [N, C, H, W] to accumulators, float32 [N, K, P, Q]."""

    def requantized(self, conv: IntegerConv, to: Requantization) -> Step:
        """A step from codes [N, C, H, W], and codes of a residual [N, K, P, Q] if there is one, to codes."""

    def finish(self) -> None:
        """Prepare what the steps made so far still lack: in one go, which takes less time than among other work."""
