"""MobileNet v1 (Howard et al. 2017), BatchNorm folded, with TensorFlow's padding."""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from rlcompress.network.builtin.same_padding import conv3x3, pad_for

_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Output channels at full width and stride of each block."""


class SeparableBlock(nn.Module):
    """A 3x3 depthwise and a 1x1 convolution, ReLU6 after each.

    Args:
        in_channels: C of the input [N, C, H, W], H and W even if the stride is 2.
        out_channels: K of the output [N, K, H / stride, W / stride].
        stride: 1, or 2 to halve the image.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.dw = conv3x3(in_channels, in_channels, stride, groups=in_channels)
        self.pw = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, K, H / stride, W / stride]."""
        return functional.relu6(self.pw(functional.relu6(self.dw(pad_for(self.dw, x)))))


class MobileNetV1(nn.Module):
    """A stem and 13 depthwise separable blocks.

    Args:
        width: factor of all channel counts (the paper's alpha).
        classes: size of the output [N, classes].
    """

    def __init__(self, width: float, classes: int = 1000) -> None:
        super().__init__()
        channels = [int(32 * width), *(int(out * width) for out, _ in _BLOCKS)]
        self.stem = conv3x3(3, channels[0], stride=2)
        self.blocks = nn.Sequential(
            *(SeparableBlock(channels[i], channels[i + 1], stride) for i, (_, stride) in enumerate(_BLOCKS))
        )
        self.classifier = nn.Linear(channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, 3, H, W] in [-1, 1), sides multiples of 32, to logits [N, classes]."""
        x = self.blocks(functional.relu6(self.stem(pad_for(self.stem, x))))
        logits: Tensor = self.classifier(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


mobilenet_v1_025 = partial(MobileNetV1, 0.25)
mobilenet_v1_050 = partial(MobileNetV1, 0.5)
mobilenet_v1_075 = partial(MobileNetV1, 0.75)
mobilenet_v1_100 = partial(MobileNetV1, 1.0)
