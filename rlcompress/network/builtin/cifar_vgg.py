"""VGG for 32x32 images with BatchNorm (Simonyan & Zisserman 2015); names as in chenyaofo/pytorch-cifar-models."""

from functools import partial

from torch import Tensor, nn

_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Depth -> 3x3 convolutions before each of the five poolings: table 1 of the paper."""

_CHANNELS = (64, 128, 256, 512, 512)


class CifarVGG(nn.Module):
    """3x3 convolutions with BatchNorm in five stages, each ended by a 2x2 maximum, and three linear layers.

    Args:
        depth: layers with weights: 11, 13, 16 or 19.
        classes: size of the output [N, classes].
    """

    def __init__(self, depth: int, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for count, wider in zip(_CONVOLUTIONS[depth], _CHANNELS, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(channels, wider, 3, padding=1), nn.BatchNorm2d(wider), nn.ReLU(inplace=True)]
                channels = wider
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512, 512), nn.ReLU(inplace=True), nn.Dropout(),
            nn.Linear(512, 512), nn.ReLU(inplace=True), nn.Dropout(),
            nn.Linear(512, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images [N, 3, 32, 32] to logits [N, classes]."""
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits


cifar_vgg11_bn = partial(CifarVGG, 11)
cifar_vgg13_bn = partial(CifarVGG, 13)
cifar_vgg16_bn = partial(CifarVGG, 16)
cifar_vgg19_bn = partial(CifarVGG, 19)
