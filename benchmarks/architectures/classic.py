"""AlexNet, SqueezeNet, GoogLeNet, Inception v3, DenseNet-121 and ResNets with groups or activations first."""

import torch
from torch import Tensor, nn

from benchmarks.architectures.blocks import Branches, Residual, conv_bn, head


def alexnet() -> nn.Module:
    """Krizhevsky 2014, one tower; linear layers of 512 in place of 4096."""

    def relu_conv(*a: int, **k: int) -> list[nn.Module]:
        return [nn.Conv2d(*a, **k), nn.ReLU()]  # type: ignore[arg-type]

    return nn.Sequential(
        *relu_conv(3, 64, 11, 4, padding=2), nn.MaxPool2d(3, 2), *relu_conv(64, 192, 5, padding=2), nn.MaxPool2d(3, 2),
        *relu_conv(192, 384, 3, padding=1), *relu_conv(384, 256, 3, padding=1), *relu_conv(256, 256, 3, padding=1),
        nn.MaxPool2d(3, 2), nn.Flatten(), nn.Dropout(), nn.Linear(256 * 4, 512), nn.ReLU(), nn.Linear(512, 10),
    )  # fmt: skip


def squeezenet() -> nn.Module:
    """Iandola et al. 2016, version 1.1."""

    def fire(c: int, s: int, e: int) -> nn.Module:
        one, three = nn.Conv2d(s, e, 1), nn.Conv2d(s, e, 3, padding=1)
        wide = Branches(nn.Sequential(one, nn.ReLU()), nn.Sequential(three, nn.ReLU()))
        return nn.Sequential(nn.Conv2d(c, s, 1), nn.ReLU(), wide)

    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2), fire(64, 16, 64), fire(128, 16, 64), nn.MaxPool2d(3, 2),
        fire(128, 32, 128), fire(256, 32, 128), nn.MaxPool2d(3, 2), fire(256, 48, 192), fire(384, 48, 192),
        fire(384, 64, 256), fire(512, 64, 256), nn.Dropout(), nn.Conv2d(512, 10, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def googlenet() -> nn.Module:
    """Szegedy et al. 2015 with BatchNorm, table 1, without the auxiliary classifiers."""

    def inception(c: int, a: int, b1: int, b3: int, c1: int, c5: int, pool: int) -> nn.Module:
        return Branches(
            conv_bn(c, a, 1), nn.Sequential(conv_bn(c, b1, 1), conv_bn(b1, b3, 3)),
            nn.Sequential(conv_bn(c, c1, 1), conv_bn(c1, c5, 5)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn(c, pool, 1)),
        )  # fmt: skip

    def half() -> nn.Module:
        return nn.MaxPool2d(3, 2, 1)

    return nn.Sequential(
        conv_bn(3, 64, 7, 2), half(), conv_bn(64, 64, 1), conv_bn(64, 192, 3), half(),
        inception(192, 64, 96, 128, 16, 32, 32), inception(256, 128, 128, 192, 32, 96, 64), half(),
        inception(480, 192, 96, 208, 16, 48, 64), inception(512, 160, 112, 224, 24, 64, 64),
        inception(512, 128, 128, 256, 24, 64, 64), inception(512, 112, 144, 288, 32, 64, 64),
        inception(528, 256, 160, 320, 32, 128, 128), half(), inception(832, 256, 160, 320, 32, 128, 128),
        inception(832, 384, 192, 384, 48, 128, 128), head(1024),
    )  # fmt: skip


def inception_v3() -> nn.Module:
    """Szegedy et al. 2016, without the auxiliary classifier."""
    s = nn.Sequential

    def pooled(c: int, k: int) -> nn.Module:
        return s(nn.AvgPool2d(3, 1, 1), conv_bn(c, k, 1))

    def a(c: int, k: int) -> nn.Module:
        five = s(conv_bn(c, 48, 1), conv_bn(48, 64, 5))
        return Branches(
            conv_bn(c, 64, 1), five, s(conv_bn(c, 64, 1), conv_bn(64, 96, 3), conv_bn(96, 96, 3)), pooled(c, k)
        )

    def c7(m: int) -> nn.Module:
        row, column = (1, 7), (7, 1)
        two = s(conv_bn(768, m, 1), conv_bn(m, m, row), conv_bn(m, 192, column))
        four = s(
            conv_bn(768, m, 1), conv_bn(m, m, column), conv_bn(m, m, row), conv_bn(m, m, column), conv_bn(m, 192, row)
        )
        return Branches(conv_bn(768, 192, 1), two, four, pooled(768, 192))

    def e(c: int) -> nn.Module:
        def split(k: int) -> nn.Module:
            return Branches(conv_bn(k, 384, (1, 3)), conv_bn(k, 384, (3, 1)))

        double = s(conv_bn(c, 448, 1), conv_bn(448, 384, 3), split(384))
        return Branches(conv_bn(c, 320, 1), s(conv_bn(c, 384, 1), split(384)), double, pooled(c, 192))

    smaller = s(conv_bn(288, 64, 1), conv_bn(64, 96, 3), conv_bn(96, 96, 3, 2, padding=0))
    seven = s(
        conv_bn(768, 192, 1), conv_bn(192, 192, (1, 7)), conv_bn(192, 192, (7, 1)), conv_bn(192, 192, 3, 2, padding=0)
    )
    return s(
        conv_bn(3, 32, 3, 2, padding=0), conv_bn(32, 32, 3, padding=0), conv_bn(32, 64, 3), nn.MaxPool2d(3, 2),
        conv_bn(64, 80, 1), conv_bn(80, 192, 3, padding=0), nn.MaxPool2d(3, 2), a(192, 32), a(256, 64), a(288, 64),
        Branches(conv_bn(288, 384, 3, 2, padding=0), smaller, nn.MaxPool2d(3, 2)), c7(128), c7(160), c7(160), c7(192),
        Branches(s(conv_bn(768, 192, 1), conv_bn(192, 320, 3, 2, padding=0)), seven, nn.MaxPool2d(3, 2)),
        e(1280), e(2048), head(2048),
    )  # fmt: skip


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm, self.one = nn.BatchNorm2d(channels), nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.norm2, self.three = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        new = self.three(torch.relu(self.norm2(self.one(torch.relu(self.norm(x))))))
        return torch.cat([x, new], 1)


def densenet121() -> nn.Module:
    """Huang et al. 2017."""
    layers, channels = [conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for i, count in enumerate((6, 12, 24, 16)):
        for _ in range(count):
            layers.append(_DenseLayer(channels, 32))
            channels += 32
        layers += [nn.BatchNorm2d(channels), nn.ReLU()]
        if i < 3:
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(*layers, head(channels))


def _bottlenecks(stages: tuple[tuple[int, int, int, int, int], ...], channels: int) -> nn.Module:
    """Stages of (width, out, blocks, stride, groups), then the classifier."""
    layers: list[nn.Module] = []
    for width, out, count, first, groups in stages:
        for i in range(count):
            stride = 1 if i else first
            inner = conv_bn(width, width, 3, stride, groups=groups)
            path = nn.Sequential(conv_bn(channels, width, 1), inner, conv_bn(width, out, 1, act=None))
            same = stride == 1 and channels == out
            layers.append(Residual(path, None if same else conv_bn(channels, out, 1, stride, act=None), nn.ReLU()))
            channels = out
    return nn.Sequential(*layers, head(channels))


def resnext50() -> nn.Module:
    """Xie et al. 2017, 32x4d."""
    rows = ((128, 256, 3, 1, 32), (256, 512, 4, 2, 32), (512, 1024, 6, 2, 32), (1024, 2048, 3, 2, 32))
    return nn.Sequential(conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1), _bottlenecks(rows, 64))


def regnet_x_400mf() -> nn.Module:
    """Radosavovic et al. 2020: groups of 16 channels."""
    rows = ((32, 32, 1, 2, 2), (64, 64, 2, 2, 4), (160, 160, 7, 2, 10), (400, 400, 12, 2, 25))
    return nn.Sequential(conv_bn(3, 32, 3, 2), _bottlenecks(rows, 32))


def preact_resnet20() -> nn.Module:
    """He et al. 2016: BatchNorm and ReLU before each convolution, so that BatchNorm is not folded."""

    def unit(c: int, k: int, stride: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, k, 3, stride, 1, bias=False)]

    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
    channels = 16
    for width in (16, 32, 64):
        for i in range(3):
            stride = 2 if width > channels and i == 0 else 1
            path = nn.Sequential(*unit(channels, width, stride), *unit(width, width, 1))
            layers.append(Residual(path, None if channels == width else nn.Conv2d(channels, width, 1, stride)))
            channels = width
    return nn.Sequential(*layers, nn.BatchNorm2d(64), nn.ReLU(), head(64))
