"""The four networks of MLPerf Tiny (mlcommons/tiny)."""

from benchmarks.networks.builder import Builder
from rlcompress.spec import LayerSpec

Specs = tuple[LayerSpec, ...]


def resnet8() -> Specs:
    """Image classification: ResNet-8 on 32x32."""
    b = Builder(3, 32).conv(16, 3)
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        start = b.last
        main = b.conv(width, 3, stride).conv(width, 3).last
        if stride == 2:
            shortcut = b.at(start).conv(width, 1, 2).last
            b.at(main).add(shortcut)
        else:
            b.add(start)
    return tuple(b.pool(8).linear(10).specs)


def ds_cnn() -> Specs:
    """Keyword spotting: DS-CNN on 49x10."""
    b = Builder(1, 49, 10).conv(64, 10, 2, s=4)
    for _ in range(4):
        b.depthwise(3).conv(64, 1)
    return tuple(b.pool(0).linear(12).specs)


def mobilenet_quarter() -> Specs:
    """Visual wake words: MobileNetV1 x0.25 on 96x96."""
    return mobilenet_v1(0.25, 96, 2)


def mobilenet_v1(alpha: float, size: int, classes: int) -> Specs:
    """MobileNetV1."""
    b = Builder(3, size).conv(int(32 * alpha), 3, 2)
    widths = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for width, stride in widths:
        b.depthwise(3, stride).conv(int(width * alpha), 1)
    return tuple(b.pool(0).linear(classes).specs)


def autoencoder() -> Specs:
    """Anomaly detection: fully connected autoencoder."""
    b = Builder(640, 1)
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128, 640):
        b.linear(width)
    return tuple(b.specs)


TINY = {"ic": resnet8, "vww": mobilenet_quarter, "kws": ds_cnn, "ad": autoencoder}
