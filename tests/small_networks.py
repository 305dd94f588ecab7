"""Small random networks for tests."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rlcompress.network.builtin.cifar_resnet import BasicBlock


class Net(nn.Module):
    """A network from modules and a function of them and the input; its weights are random but fixed."""

    def __init__(self, forward: Callable[["Net", Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)
        self._forward = forward
        randomized(self)

    def forward(self, x: Tensor) -> Tensor:
        """Whatever the function gives."""
        return self._forward(self, x)


def randomized(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in eval mode with random weights and BatchNorm statistics."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            fan_in = part.weight[0].numel()
            part.weight.data = torch.randn(part.weight.shape, generator=generator) * (2 / fan_in) ** 0.5
            if part.bias is not None:
                part.bias.data = torch.randn(part.bias.shape, generator=generator) * 0.1
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            for tensor, low in (
                (part.weight, 0.5),
                (part.bias, -0.3),
                (part.running_mean, -0.3),
                (part.running_var, 0.5),
            ):
                tensor.data = low + torch.rand(tensor.shape, generator=generator)
    return module.eval()


def conv(c: int, k: int, size: int = 3, **options: object) -> nn.Conv2d:
    return nn.Conv2d(c, k, size, **{"padding": size // 2, **options})


def images(count: int, *shape: int, seed: int = 1) -> Tensor:
    """Random images [N, C, H, W]."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


class OptionAResNet(nn.Module):
    """Two residual blocks, the second with twice the channels behind a shortcut without weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.one = BasicBlock(8, 8)
        self.two = BasicBlock(8, 16, stride=2)
        self.linear = nn.Linear(16, 5)
        randomized(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.one(F.relu(self.bn(self.stem(x)))))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


class InvertedResidual(nn.Module):
    """MobileNetV2-like: a stem, one inverted residual block, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.expand = nn.Sequential(conv(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.depthwise = nn.Sequential(conv(16, 16, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.project = nn.Sequential(conv(16, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.classifier = nn.Linear(8, 5)
        randomized(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.project(self.depthwise(self.expand(x)))
        return self.classifier(x.mean([2, 3]))


class PerPixel(nn.Module):
    """Twice the pixels, as a network for super-resolution gives them, or with a size written into it."""

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.size = size
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 1, 2 H, 2 W]."""
        x = self.first(x).relu()
        if self.size is not None:
            x = x.reshape(-1, 8, *self.size)
        return F.pixel_shuffle(self.last(x), 2)
