"""Residual networks for 32x32 images with a wide stem and 1x1 shortcuts (karanchahal/distiller)."""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, a 1x1 convolution where the shape changes; no ReLU after the sum.

    Args:
        in_channels: C of the input [N, C, H, W].
        out_channels: K of the output [N, K, H / stride, W / stride].
        stride: 1, or 2 to halve the image.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut.append(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, K, H / stride, W / stride]."""
        out = functional.relu(self.bn1(self.conv1(x)))
        total: Tensor = self.bn2(self.conv2(out)) + self.shortcut(x)
        return total


class CifarResNetStem64(nn.Module):
    """ResNet of 6n + 2 layers: a stem of 64 channels, then stages of 16, 32, 64 with one ReLU after each.

    Args:
        depth: 6n + 2 with n residual blocks in each of the three stages.
        classes: size of the output [N, classes].
    """

    def __init__(self, depth: int, classes: int = 10) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images [N, 3, 32, 32] to logits [N, classes]."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.layer1(x))
        x = functional.relu(self.layer2(x))
        x = functional.relu(self.layer3(x))
        logits: Tensor = self.linear(functional.avg_pool2d(x, 4).flatten(1))
        return logits


def _stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels) for _ in range(blocks - 1)))


cifar_resnet8_stem64 = partial(CifarResNetStem64, 8)
cifar_resnet14_stem64 = partial(CifarResNetStem64, 14)
cifar_resnet20_stem64 = partial(CifarResNetStem64, 20)
cifar_resnet26_stem64 = partial(CifarResNetStem64, 26)
cifar_resnet32_stem64 = partial(CifarResNetStem64, 32)
