"""MobileNet v3, EfficientNet-B0, MnasNet, ShuffleNet v2, and MLPerf Tiny's DS-CNN and autoencoder."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.architectures.blocks import SqueezeExcite, conv_bn, head, inverted_residual


def _rounded(channels: float) -> int:
    return max(8, int(channels + 4) // 8 * 8)


def mobilenet_v3_small() -> nn.Module:
    """Howard et al. 2019, table 2."""
    rows = (
        (16, 16, 3, 2, True, False), (72, 24, 3, 2, False, False), (88, 24, 3, 1, False, False),
        (96, 40, 5, 2, True, True), (240, 40, 5, 1, True, True), (240, 40, 5, 1, True, True),
        (120, 48, 5, 1, True, True), (144, 48, 5, 1, True, True), (288, 96, 5, 2, True, True),
        (576, 96, 5, 1, True, True), (576, 96, 5, 1, True, True),
    )  # fmt: skip
    layers: list[nn.Module] = [conv_bn(3, 16, 3, 2, act=nn.Hardswish)]
    channels = 16
    for hidden, out, size, stride, excited, hard in rows:
        excite = SqueezeExcite(hidden, _rounded(hidden / 4), nn.ReLU, nn.Hardsigmoid) if excited else None
        act = nn.Hardswish if hard else nn.ReLU
        layers.append(inverted_residual(channels, hidden, out, size, stride, act, excite))
        channels = out
    last = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, 10))
    return nn.Sequential(*layers, conv_bn(96, 576, 1, act=nn.Hardswish), *last)


def efficientnet_b0() -> nn.Module:
    """Tan & Le 2019, table 1."""
    rows = (
        (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    )  # fmt: skip
    layers: list[nn.Module] = [conv_bn(3, 32, 3, 2, act=nn.SiLU)]
    channels = 32
    for expansion, out, count, first, size in rows:
        for i in range(count):
            hidden, stride = channels * expansion, 1 if i else first
            excite = SqueezeExcite(hidden, channels // 4, nn.SiLU, nn.Sigmoid)
            layers.append(inverted_residual(channels, hidden, out, size, stride, nn.SiLU, excite))
            channels = out
    return nn.Sequential(*layers, conv_bn(320, 1280, 1, act=nn.SiLU), nn.Dropout(0.2), head(1280))


def mnasnet() -> nn.Module:
    """Tan et al. 2019, MnasNet-B1."""
    rows = (
        (3, 24, 3, 2, 3),
        (3, 40, 3, 2, 5),
        (6, 80, 3, 2, 5),
        (6, 96, 2, 1, 3),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    )
    stem = (conv_bn(3, 32, 3, 2), conv_bn(32, 32, 3, groups=32), conv_bn(32, 16, 1, act=None))
    layers: list[nn.Module] = [*stem]
    channels = 16
    for expansion, out, count, first, size in rows:
        for i in range(count):
            stride = 1 if i else first
            layers.append(inverted_residual(channels, channels * expansion, out, size, stride, nn.ReLU, None))
            channels = out
    return nn.Sequential(*layers, conv_bn(320, 1280, 1), head(1280))


class _ShuffleUnit(nn.Module):
    """Split, transform one half, join, shuffle; with stride 2 both halves see everything."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        half, seen = out // 2, channels if stride == 2 else channels // 2
        self.stride = stride
        self.right = nn.Sequential(
            conv_bn(seen, half, 1), conv_bn(half, half, 3, stride, groups=half, act=None), conv_bn(half, half, 1)
        )
        self.left = nn.Identity()
        if stride == 2:
            self.left = nn.Sequential(conv_bn(seen, seen, 3, 2, groups=seen, act=None), conv_bn(seen, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        left, right = (x, x) if self.stride == 2 else x.chunk(2, dim=1)
        x = torch.cat([self.left(left), self.right(right)], 1)
        n, c, h, w = x.size()
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


def shufflenet_v2() -> nn.Module:
    """Ma et al. 2018, width 1."""
    layers: list[nn.Module] = [conv_bn(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 24
    for out, count in ((116, 4), (232, 8), (464, 4)):
        for i in range(count):
            layers.append(_ShuffleUnit(channels if i == 0 else out, out, 1 if i else 2))
        channels = out
    return nn.Sequential(*layers, conv_bn(464, 1024, 1), head(1024))


def ds_cnn() -> nn.Module:
    """MLPerf Tiny's keyword spotter (Banbury et al. 2021): depthwise separable convolutions on 49x10 features."""
    separable = [part for _ in range(4) for part in (conv_bn(64, 64, 3, groups=64), conv_bn(64, 64, 1))]
    return nn.Sequential(
        conv_bn(1, 64, (10, 4), 2, padding=(5, 1)), nn.Dropout(0.2), *separable, nn.Dropout(0.4), head(64, 12)
    )


def autoencoder() -> nn.Module:
    """MLPerf Tiny's anomaly detector (Banbury et al. 2021): linear layers with BatchNorm on 640 features."""
    widths = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128)
    layers = [part for c, k in pairwise(widths) for part in (nn.Linear(c, k), nn.BatchNorm1d(k), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(128, 640))
