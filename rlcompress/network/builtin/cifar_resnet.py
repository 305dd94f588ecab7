"""Residual networks for 32x32 images with parameter-free shortcuts (He et al. 2015, section 4.2)."""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights ("option A"), ReLU after the sum.

    Where the size changes, the shortcut takes every second pixel and fills the new channels, half before and half
    after the old ones, with zeros.

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
        self.stride = stride
        self.new_channels = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, K, H / stride, W / stride]."""
        out = functional.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return functional.relu(out + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride == 1 and self.new_channels == 0:
            return x
        before = self.new_channels // 2
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.new_channels - before))


class CifarResNet(nn.Module):
    """ResNet of 6n + 2 layers and 16, 32, 64 channels; names as in akamaster/pytorch_resnet_cifar10.

    Args:
        depth: 6n + 2 with n residual blocks in each of the three stages.
        classes: size of the output [N, classes].
    """

    def __init__(self, depth: int, classes: int = 10) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images [N, 3, 32, 32] to logits [N, classes]."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def _stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels) for _ in range(blocks - 1)))


cifar_resnet20 = partial(CifarResNet, 20)
cifar_resnet32 = partial(CifarResNet, 32)
cifar_resnet44 = partial(CifarResNet, 44)
cifar_resnet56 = partial(CifarResNet, 56)
cifar_resnet110 = partial(CifarResNet, 110)
