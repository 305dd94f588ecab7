"""MobileNet v2 for 32x32 images (Sandler et al. 2018); names as in chenyaofo/pytorch-cifar-models."""

from torch import Tensor, nn

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, output channels, blocks and first stride: table 2 of the paper, with two strides of 2 made 1."""


def _conv_bn_relu(in_channels: int, out_channels: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1 projection; the input is added if the shape stays the same.

    Args:
        in_channels: C of the input [N, C, H, W].
        out_channels: K of the output [N, K, H / stride, W / stride].
        stride: 1, or 2 to halve the image.
        expansion: channels of the depthwise convolution over C; at 1 there is no expansion layer.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            *([_conv_bn_relu(in_channels, hidden, 1)] if expansion != 1 else []),
            _conv_bn_relu(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, K, H / stride, W / stride]."""
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class CifarMobileNetV2(nn.Module):
    """A stem, 17 inverted residual blocks and a 1x1 head of 1,280 channels; images shrink to 4x4.

    Args:
        classes: size of the output [N, classes].
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_bn_relu(3, 32, 3)]
        channels = 32
        for expansion, out_channels, count, first_stride in _STAGES:
            for i in range(count):
                layers.append(InvertedResidual(channels, out_channels, 1 if i else first_stride, expansion))
                channels = out_channels
        self.features = nn.Sequential(*layers, _conv_bn_relu(channels, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images [N, 3, 32, 32] to logits [N, classes]."""
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits
