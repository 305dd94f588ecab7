"""Architectures of the literature, written from the papers, with random weights and small images."""

from collections.abc import Callable
from functools import partial

from torch import nn

from benchmarks.architectures import classic, images, mobile
from rlcompress.network.weights import build


def _built_in(name: str) -> nn.Module:
    return build(name)[0]


Shape = tuple[int, int, int]

ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    **{
        name: (partial(_built_in, name), shape)
        for name, shape in (
            ("cifar_resnet20", (3, 32, 32)), ("resnet18", (3, 64, 64)), ("resnet50", (3, 64, 64)),
            ("cifar_vgg16_bn", (3, 32, 32)), ("mobilenet_v1_0.5", (3, 64, 64)), ("mobilenet_v2", (3, 64, 64)),
            ("mlperf_tiny_resnet8", (3, 32, 32)), ("vdsr", (1, 24, 24)),
        )
    },
    "alexnet": (classic.alexnet, (3, 95, 95)),
    "squeezenet_1.1": (classic.squeezenet, (3, 64, 64)),
    "googlenet": (classic.googlenet, (3, 64, 64)),
    "inception_v3": (classic.inception_v3, (3, 96, 96)),
    "densenet121": (classic.densenet121, (3, 32, 32)),
    "resnext50_32x4d": (classic.resnext50, (3, 32, 32)),
    "regnet_x_400mf": (classic.regnet_x_400mf, (3, 64, 64)),
    "preact_resnet20": (classic.preact_resnet20, (3, 32, 32)),
    "mobilenet_v3_small": (mobile.mobilenet_v3_small, (3, 64, 64)),
    "efficientnet_b0": (mobile.efficientnet_b0, (3, 64, 64)),
    "mnasnet_b1": (mobile.mnasnet, (3, 64, 64)),
    "shufflenet_v2": (mobile.shufflenet_v2, (3, 64, 64)),
    "ds_cnn": (mobile.ds_cnn, (1, 49, 10)),
    "autoencoder": (mobile.autoencoder, (1, 5, 128)),
    "convnext_tiny": (images.convnext_tiny, (3, 32, 32)),
    "unet": (images.UNet, (3, 32, 32)),
    "espcn": (images.espcn, (1, 16, 16)),
}  # fmt: skip
"""Name -> factory and the shape of its images."""
