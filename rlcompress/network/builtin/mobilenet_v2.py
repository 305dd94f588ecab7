"""MobileNet v2 (Sandler et al. 2018), BatchNorm folded, with TensorFlow's padding."""

from torch import Tensor, nn
from torch.nn import functional

from rlcompress.network.builtin.same_padding import conv3x3, pad_for

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, output channels, blocks and first stride: table 2 of the paper."""


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1 projection; the input is added if the shape stays the same.

    Args:
        in_channels: C of the input [N, C, H, W], H and W even if the stride is 2.
        out_channels: K of the output [N, K, H / stride, W / stride].
        stride: 1, or 2 to halve the image.
        expansion: channels of the depthwise convolution over C; at 1 there is no ``expand``.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = nn.Conv2d(in_channels, hidden, 1) if expansion != 1 else None
        self.dw = conv3x3(hidden, hidden, stride, groups=hidden)
        self.project = nn.Conv2d(hidden, out_channels, 1)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, K, H / stride, W / stride]."""
        out = x if self.expand is None else functional.relu6(self.expand(x))
        out = functional.relu6(self.dw(pad_for(self.dw, out)))
        out = self.project(out)
        total: Tensor = x + out if self.residual else out
        return total


class MobileNetV2(nn.Module):
    """A stem, 17 inverted residual blocks and a 1x1 head of 1,280 channels, at full width.

    Args:
        classes: size of the output [N, classes].
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = conv3x3(3, 32, stride=2)
        blocks, channels = [], 32
        for expansion, out_channels, count, first_stride in _STAGES:
            for i in range(count):
                blocks.append(InvertedResidual(channels, out_channels, 1 if i else first_stride, expansion))
                channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv2d(channels, 1280, 1)
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, 3, H, W] in [-1, 1), sides multiples of 32, to logits [N, classes]."""
        x = self.blocks(functional.relu6(self.stem(pad_for(self.stem, x))))
        x = functional.relu6(self.head(x))
        logits: Tensor = self.classifier(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits
