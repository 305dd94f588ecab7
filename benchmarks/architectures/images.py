"""ConvNeXt, and networks that give images: U-Net and ESPCN."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.architectures.blocks import conv_bn


class _LayerNorm2d(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        x = functional.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class _ConvNextBlock(nn.Module):
    """Depthwise 7x7, then two layers on each pixel, scaled by a parameter."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dw = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.up, self.down = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dw(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(functional.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


def convnext_tiny() -> nn.Module:
    """Liu et al. 2022."""
    layers: list[nn.Module] = [nn.Conv2d(3, 96, 4, 4), _LayerNorm2d(96)]
    for width, count in ((96, 3), (192, 3), (384, 9), (768, 3)):
        if width > 96:
            layers += [_LayerNorm2d(width // 2), nn.Conv2d(width // 2, width, 2, 2)]
        layers += [_ConvNextBlock(width) for _ in range(count)]
    last = (nn.AdaptiveAvgPool2d(1), _LayerNorm2d(768), nn.Flatten(), nn.Linear(768, 10))
    return nn.Sequential(*layers, *last)


class UNet(nn.Module):
    """Ronneberger et al. 2015 with BatchNorm and padding, of a quarter of the width."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 128, 256)
        self.down = nn.ModuleList(self._twice(c, k) for c, k in zip((3, *widths), widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * k, k, 2, 2) for k in widths[-2::-1])
        self.join = nn.ModuleList(self._twice(2 * k, k) for k in widths[-2::-1])
        self.last = nn.Conv2d(16, 2, 1)

    @staticmethod
    def _twice(channels: int, out: int) -> nn.Sequential:
        return nn.Sequential(conv_bn(channels, out, 3), conv_bn(out, out, 3))

    def forward(self, x: Tensor) -> Tensor:
        kept = [self.down[0](x)]
        for part in list(self.down)[1:]:
            kept.append(part(functional.max_pool2d(kept[-1], 2)))
        x = kept.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([up(x), kept.pop()], 1))
        return self.last(x)


def espcn() -> nn.Module:
    """Shi et al. 2016: super-resolution by sub-pixel convolution."""
    return nn.Sequential(
        nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh(),
        nn.Conv2d(32, 9, 3, padding=1), nn.PixelShuffle(3),
    )  # fmt: skip
