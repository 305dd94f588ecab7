"""TensorFlow's SAME padding for 3x3 windows, in a form that torch.fx can trace."""

from torch import Tensor, nn
from torch.nn import functional


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A biased 3x3 convolution whose input goes through `pad_for` first."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=int(stride == 1), groups=groups)


def pad_for(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The part of SAME padding that ``padding=`` cannot express.

    With stride 2 on even image sizes TensorFlow pads one row at the bottom and one column at the right only. Sizes
    have to be even, which is not checked because traced code must not depend on data.
    """
    return functional.pad(x, (0, 1, 0, 1)) if conv.stride[0] == 2 else x
