"""The image classification network of MLPerf Tiny (Banbury et al. 2021), BatchNorm folded."""

from torch import Tensor, nn
from torch.nn import functional

from rlcompress.network.builtin.same_padding import conv3x3, pad_for


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, a 1x1 convolution where the shape changes; ReLU after the sum.

    Args:
        in_channels: C of the input [N, C, H, W], H and W even.
        out_channels: K of the output [N, K, H / stride, W / stride].
        stride: 1, or 2 to halve the image.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.conv2 = conv3x3(out_channels, out_channels)
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, K, H / stride, W / stride]."""
        out = functional.relu(self.conv1(pad_for(self.conv1, x)))
        return functional.relu(self.conv2(out) + self.shortcut(x))


class MlperfTinyResNet8(nn.Module):
    """ResNet-8 of 16, 32, 64 channels with TensorFlow's SAME padding.

    Args:
        classes: size of the output [N, classes].
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = conv3x3(3, 16)
        self.blocks = nn.Sequential(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
        self.classifier = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map raw images [N, 3, 32, 32] of values 0 to 255 to logits [N, classes]."""
        x = self.blocks(functional.relu(self.stem(x)))
        logits: Tensor = self.classifier(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits
