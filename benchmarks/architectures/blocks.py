"""What many architectures are made of."""

import torch
from torch import Tensor, nn


def conv_bn(
    channels: int, out: int, size: int | tuple[int, int], stride: int = 1, groups: int = 1,
    act: type[nn.Module] | None = nn.ReLU, padding: int | tuple[int, int] | None = None,
) -> nn.Sequential:  # fmt: skip
    """A convolution without bias, BatchNorm, and an activation if there is one."""
    if padding is None:
        padding = size // 2 if isinstance(size, int) else (size[0] // 2, size[1] // 2)
    layers = [nn.Conv2d(channels, out, size, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, *([act()] if act else []))


def head(channels: int, classes: int = 10) -> nn.Sequential:
    """The mean over the image and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Branches(nn.Module):
    """Several paths from one input, joined along the channels."""

    def __init__(self, *paths: nn.Module) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([path(x) for path in self.paths], 1)


class Residual(nn.Module):
    """A path added to its input, or to a shortcut of it."""

    def __init__(self, path: nn.Module, shortcut: nn.Module | None = None, after: nn.Module | None = None) -> None:
        super().__init__()
        self.path, self.shortcut, self.after = path, shortcut or nn.Identity(), after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.shortcut(x) + self.path(x))


class SqueezeExcite(nn.Module):
    """Channels scaled by what the whole image says (Hu et al. 2018)."""

    def __init__(self, channels: int, inner: int, act: type[nn.Module], gate: type[nn.Module]) -> None:
        super().__init__()
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, inner, 1), act(), nn.Conv2d(inner, channels, 1), gate()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale(x)


def inverted_residual(
    channels: int, hidden: int, out: int, size: int, stride: int, act: type[nn.Module], excite: nn.Module | None
) -> nn.Module:
    """Expand, filter each channel, perhaps excite, project (Sandler et al. 2018; Howard et al. 2019)."""
    path = nn.Sequential(
        *([conv_bn(channels, hidden, 1, act=act)] if hidden != channels else []),
        conv_bn(hidden, hidden, size, stride, groups=hidden, act=act),
        *([excite] if excite else []),
        conv_bn(hidden, out, 1, act=None),
    )
    return Residual(path) if stride == 1 and channels == out else path
