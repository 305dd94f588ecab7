"""Cards of the built-in networks: what a network is, what it expects as input and where it comes from.

Imports no torch, so that listing networks starts quickly.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rlcompress.errors import NetworkError


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCard:
    """What is to be known of a built-in network before it is built.

    An image of bytes becomes the network's input by ``(byte / 255 - mean) / std``.

    Attributes:
        name: what the command line calls the network.
        factory: "module:attribute" of a callable that gives the `nn.Module`; it takes ``classes=`` unless
            ``classes`` is None.
        input_shape: (C, H, W) of one input image.
        mean: C values.
        std: C values.
        classes: number of logits, or None for a network whose output is an image.
        description: one line.
        source: publication, and the implementation whose weights fit unchanged.
        normalization_by_classes: (classes, mean, std) of class counts whose published weights want another input.
        metric: what a network is judged by unless another is asked for, as `rlcompress.evaluation.metric_of` takes it.
    """

    name: str
    factory: str
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int | None
    description: str
    source: str
    normalization_by_classes: tuple[tuple[int, tuple[float, ...], tuple[float, ...]], ...] = ()
    metric: str | Callable[..., Any] = "top1"

    def with_classes(self, classes: int) -> "NetworkCard":
        """The card of the same network with another number of classes, and the input that its weights want.

        >>> get_card("cifar_resnet20_stem64").with_classes(100).mean
        (0.507, 0.487, 0.441)
        """
        for count, mean, std in self.normalization_by_classes:
            if count == classes:
                return replace(self, classes=classes, mean=mean, std=std)
        return replace(self, classes=classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFormat:
    """What a user says about a network's input; None for what is not said.

    Attributes:
        shape: (C, H, W) of one image.
        mean: C values on the scale 0 to 1.
        std: C values on the same scale.
    """

    shape: tuple[int, int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def applied(self, card: NetworkCard) -> NetworkCard:
        """A card with what is said here in place of its own.

        Raises:
            NetworkError: not as many values as channels.
        """
        mean, std = self.mean or card.mean, self.std or card.std
        card = replace(card, input_shape=self.shape or card.input_shape, mean=mean, std=std)
        channels = card.input_shape[0]
        for name, values in (("mean", card.mean), ("std", card.std)):
            if len(values) != channels:
                raise NetworkError(
                    f"{card.name}: {name} has {len(values)} values for {channels} channels; give one a channel"
                )
        return card


_BUILTIN = "rlcompress.network.builtin"
_RAW = ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
_SIGNED = ((128 / 255, 128 / 255, 128 / 255), (128 / 255, 128 / 255, 128 / 255))
_TINY = "Banbury et al. 2021, arXiv:2106.07597; mlcommons/tiny"
_V1 = "Howard et al. 2017, arXiv:1704.04861; google-coral/edgetpu (8-bit, dequantised)"
_V2 = "Sandler et al. 2018, arXiv:1801.04381; google-coral/edgetpu (8-bit, dequantised)"


def _cifar_resnet(depth: int) -> NetworkCard:
    return NetworkCard(
        name=f"cifar_resnet{depth}",
        factory=f"{_BUILTIN}.cifar_resnet:cifar_resnet{depth}",
        input_shape=(3, 32, 32),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        classes=10,
        description=f"ResNet-{depth} for CIFAR, 16/32/64 channels, shortcuts without weights",
        source="He et al. 2015, arXiv:1512.03385, section 4.2; akamaster/pytorch_resnet_cifar10",
    )


def _cifar_resnet_stem64(depth: int) -> NetworkCard:
    return NetworkCard(
        name=f"cifar_resnet{depth}_stem64",
        factory=f"{_BUILTIN}.cifar_resnet_stem64:cifar_resnet{depth}_stem64",
        input_shape=(3, 32, 32),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        classes=10,
        description=f"ResNet-{depth} for CIFAR with a stem of 64 channels and 1x1 shortcuts",
        source="karanchahal/distiller",
        normalization_by_classes=((100, (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)),),
    )


def _cifar(name: str, factory: str, description: str, paper: str) -> NetworkCard:
    return NetworkCard(
        name=name,
        factory=f"{_BUILTIN}.{factory}",
        input_shape=(3, 32, 32),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        classes=10,
        description=description,
        source=f"{paper}; chenyaofo/pytorch-cifar-models",
        normalization_by_classes=((100, (0.5070, 0.4865, 0.4409), (0.2673, 0.2564, 0.2761)),),
    )


def _resnet(depth: int) -> NetworkCard:
    return NetworkCard(
        name=f"resnet{depth}",
        factory=f"{_BUILTIN}.resnet:resnet{depth}",
        input_shape=(3, 224, 224),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        classes=1000,
        description=f"ResNet-{depth} for ImageNet",
        source="He et al. 2015, arXiv:1512.03385; pytorch/vision",
    )


def _mobilenet_v1(width: str, size: int) -> NetworkCard:
    return NetworkCard(
        name=f"mobilenet_v1_{width}",
        factory=f"{_BUILTIN}.mobilenet_v1:mobilenet_v1_{round(100 * float(width)):03d}",
        input_shape=(3, size, size),
        mean=_SIGNED[0],
        std=_SIGNED[1],
        classes=1000,
        description=f"MobileNet v1 of width {width} for ImageNet",
        source=_V1,
    )


CARDS: dict[str, NetworkCard] = {
    card.name: card
    for card in (
        NetworkCard(
            name="digits_cnn",
            factory=f"{_BUILTIN}.digits:DigitsCNN",
            input_shape=(1, 8, 8),
            mean=(0.3053,),
            std=(0.3759,),
            classes=10,
            description="small CNN with a residual block for scikit-learn's digits, trained in seconds",
            source="rlcompress",
        ),
        *(_cifar_resnet(depth) for depth in (20, 32, 44, 56, 110)),
        *(_cifar_resnet_stem64(depth) for depth in (8, 14, 20, 26, 32)),
        *(
            _cifar(
                f"cifar_vgg{depth}_bn",
                f"cifar_vgg:cifar_vgg{depth}_bn",
                f"VGG-{depth} with BatchNorm for CIFAR",
                "Simonyan & Zisserman 2015, arXiv:1409.1556",
            )
            for depth in (11, 13, 16, 19)
        ),
        _cifar(
            "cifar_mobilenet_v2",
            "cifar_mobilenet_v2:CifarMobileNetV2",
            "MobileNet v2 of width 1.0 for CIFAR",
            "Sandler et al. 2018, arXiv:1801.04381",
        ),
        NetworkCard(
            name="mlperf_tiny_resnet8",
            factory=f"{_BUILTIN}.mlperf_tiny:MlperfTinyResNet8",
            input_shape=(3, 32, 32),
            mean=_RAW[0],
            std=_RAW[1],
            classes=10,
            description="ResNet-8 of MLPerf Tiny for CIFAR-10, raw bytes as input, BatchNorm folded",
            source=_TINY,
        ),
        *(_mobilenet_v1(width, size) for width, size in (("0.25", 128), ("0.5", 160), ("0.75", 192), ("1.0", 224))),
        NetworkCard(
            name="mobilenet_v2",
            factory=f"{_BUILTIN}.mobilenet_v2:MobileNetV2",
            input_shape=(3, 224, 224),
            mean=_SIGNED[0],
            std=_SIGNED[1],
            classes=1000,
            description="MobileNet v2 of width 1.0 for ImageNet",
            source=_V2,
        ),
        *(_resnet(depth) for depth in (18, 34, 50)),
        NetworkCard(
            name="vdsr",
            factory=f"{_BUILTIN}.vdsr:VDSR",
            input_shape=(1, 256, 256),
            mean=(0.0,),
            std=(1.0,),
            classes=None,
            description="VDSR super-resolution of bicubic-upscaled luma",
            source="Kim et al. 2016, arXiv:1511.04587; twtygqyy/pytorch-vdsr",
            metric="psnr",
        ),
    )
}
"""All built-in networks by name."""


def get_card(name: str) -> NetworkCard:
    """Look a built-in network up.

    Raises:
        NetworkError: there is none of that name.
    """
    if name not in CARDS:
        close = difflib.get_close_matches(name, CARDS, n=3, cutoff=0.5)
        meant = f"did you mean {' or '.join(close)}? " if close else ""
        raise NetworkError(
            f"unknown network {name!r}: {meant}`rlcompress networks list` shows all of them; "
            "your own is package.module:factory or path/to/file.py:factory"
        )
    return CARDS[name]
