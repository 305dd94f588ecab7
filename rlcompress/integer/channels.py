"""Channels that hold nothing but zeros are left out of stored tensors and of the convolutions around them.

A channel whose weights and bias are 0 (a removed filter) holds the zero point everywhere. Neither the codes of other
channels nor their multipliers change when it goes, so the outputs are the same bits with it and without it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from rlcompress.integer.engines import IntegerConv
from rlcompress.integer.semantics import Requantization, largest_bias
from rlcompress.network.layers import WeightedLayer, bias_of
from rlcompress.quantization import ActivationRange


@dataclass(frozen=True, slots=True)
class Codes:
    """A stored value of a program.

    Attributes:
        value: its number.
        at: what its codes mean.
        alive: [C] boolean, the channels that it still has, the others being zero; None for all.
    """

    value: int
    at: ActivationRange
    alive: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that reads codes.

    Attributes:
        module: the convolution or linear layer.
        conv: what it computes.
        scale: of the weight's codes, [K].
        source: what it reads.
    """

    module: WeightedLayer
    conv: IntegerConv
    scale: Tensor
    source: Codes

    @property
    def bias(self) -> Tensor:
        """Real, [K]."""
        return bias_of(self.module)

    @property
    def live_rows(self) -> Tensor | None:
        """[K] boolean, output channels that are not zero whatever the input; None where that are all."""
        live = self.bias.numpy() != 0  # many times faster than torch's any and all
        if not live.all():
            live |= self.conv.codes.numpy().reshape(len(live), -1).any(1)
        return None if live.all() else torch.from_numpy(live)

    def outgrows(self, at: ActivationRange) -> bool:
        """Whether some output needs a bias larger than `largest_bias`, which would be clipped."""
        bias = np.abs(self.bias.numpy().astype(np.float64)) / at.scale
        beyond = bias > largest_bias(at.bits)
        if not beyond.any():
            return False
        weights = np.abs(self.conv.codes.numpy().reshape(len(bias), -1).astype(np.float64)).sum(1)
        reach = weights * self.conv.largest_input * self.scale.numpy() * (self.source.at.scale / at.scale)
        return bool((beyond & (reach > bias - 2.0**at.bits)).any())

    def follows(self, rows: Tensor | None) -> bool:
        """Whether the layer is depthwise and can give just the channels that its input still has."""
        alive = self.source.alive
        return self._depthwise and alive is not None and rows is not None and not bool((rows & ~alive).any())

    @property
    def _depthwise(self) -> bool:
        return self.conv.groups == len(self.conv.codes) and self.conv.codes.shape[1] == 1

    def thinned(self, rows: Tensor | None) -> IntegerConv:
        """The convolution of some output channels, or of all, and of the input channels that are left."""
        alive = self.source.alive
        if alive is None and rows is None:
            return self.conv
        codes = self.conv.codes if rows is None else self.conv.codes[rows]
        if self.conv.groups > 1:
            return replace(self.conv, codes=codes, groups=len(codes) if self._depthwise else self.conv.groups)
        return replace(self.conv, codes=codes if alive is None else codes[:, alive])


def of_rows(to: Requantization, rows: Tensor | None) -> Requantization:
    """The constants of some output channels, or of all."""
    return to if rows is None else replace(to, multiplier=to.multiplier[rows], bias=to.bias[rows])


class Place(nn.Module):
    """Spreads channels over more, the new ones constant.

    Args:
        have: [C] boolean, channels that there are.
        want: [C] boolean, channels that there should be, those that there are among them.
        fill: code of the new ones.
    """

    source: Tensor

    def __init__(self, have: Tensor, want: Tensor, fill: int) -> None:
        super().__init__()
        self.count, self.fill = int(want.sum()), fill
        self.positions = have[want].nonzero()[:, 0]
        first, last = int(self.positions[0]), int(self.positions[-1])
        self.run = slice(first, last + 1) if last - first + 1 == len(self.positions) else None
        source = torch.full((self.count,), len(self.positions))  # a further channel of the fill
        source[self.positions] = torch.arange(len(self.positions))
        self.register_buffer("source", source)

    def forward(self, codes: Tensor) -> Tensor:
        """[N, C, ...] -> [N, K, ...]."""
        count, _, *rest = codes.shape
        layout = torch.channels_last if codes.dim() == 4 else torch.contiguous_format

        def filled(channels: int) -> Tensor:
            size = (count, channels, *rest)
            return torch.empty(size, dtype=codes.dtype, device=codes.device, memory_format=layout).fill_(self.fill)

        if self.run is None:  # several times faster than a scattered copy
            return torch.cat([codes, filled(1)], dim=1).index_select(1, self.source).contiguous(memory_format=layout)
        out = filled(self.count)
        out[:, self.run] = codes
        return out
