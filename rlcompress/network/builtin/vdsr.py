"""VDSR, super-resolution by a learned residual (Kim et al. 2016); names as in twtygqyy/pytorch-vdsr."""

from torch import Tensor, nn
from torch.nn import functional


class ConvReLU(nn.Module):
    """A 3x3 convolution of 64 channels without bias, then ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(64, 64, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, 64, H, W] to the same shape."""
        return functional.relu(self.conv(x))


class VDSR(nn.Module):
    """Twenty 3x3 convolutions that predict what bicubic upscaling lost."""

    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Conv2d(1, 64, 3, padding=1, bias=False)
        self.residual_layer = nn.Sequential(*(ConvReLU() for _ in range(18)))
        self.output = nn.Conv2d(64, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map upscaled luma [N, 1, H, W] (Y / 255) to sharpened luma of the same shape."""
        total: Tensor = x + self.output(self.residual_layer(functional.relu(self.input(x))))
        return total
