"""Networks of the Coral Edge TPU benchmark table."""

from benchmarks.networks.builder import Builder
from benchmarks.networks.classic import resnet, vgg16
from benchmarks.networks.tiny import mobilenet_v1
from rlcompress.spec import LayerSpec

Specs = tuple[LayerSpec, ...]


def densenet121() -> Specs:
    """DenseNet-121 on 224x224, growth 32."""
    b = Builder(3, 224).conv(64, 7, 2).pool(3, 2)
    for stage, count in enumerate((6, 12, 24, 16)):
        for _ in range(count):
            joined = b.last
            b.conv(128, 1).conv(32, 3)
            b.concat([*joined.split("+"), b.last])
        if stage < 3:
            b.conv(b.shape()[0] // 2, 1).pool(2)
    return tuple(b.pool(0).linear(1000).specs)


def _inverted(b: Builder, out: int, expand: int, stride: int, kernel: int = 3, *, fused: bool = False) -> Builder:
    """An inverted residual; ``fused`` expands with a full kernel instead of 1x1 and depthwise."""
    start, c = b.last, b.shape()[0]
    if fused:
        b.conv(c * expand, kernel, stride)
    else:
        if expand > 1:
            b.conv(c * expand, 1)
        b.depthwise(kernel, stride)
    b.conv(out, 1)
    return b.add(start) if stride == 1 and c == out else b


MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _mobilenet_v2_body(b: Builder) -> list[str]:
    """The inverted residuals; returns the last output of every resolution."""
    b.conv(32, 3, 2)
    skips = []
    for expand, out, count, stride in MOBILENET_V2:
        for i in range(count):
            if i == 0 and stride == 2:
                skips.append(b.last)
            _inverted(b, out, expand, stride if i == 0 else 1)
    return skips


def mobilenet_v2(size: int = 224, classes: int = 1000) -> Specs:
    """MobileNetV2."""
    b = Builder(3, size)
    _mobilenet_v2_body(b)
    return tuple(b.conv(1280, 1).pool(0).linear(classes).specs)


def unet_mobilenet_v2() -> Specs:
    """U-Net on MobileNetV2, 128x128 (TensorFlow's segmentation tutorial); a transposed convolution as its phases."""
    b = Builder(3, 128)
    skips = _mobilenet_v2_body(b)
    for width, skip in zip((512, 256, 128, 64), reversed(skips), strict=True):
        size = b.shape(skip)[1]
        b.conv(width * 4, 2, name=f"up{width}")  # 3x3 of stride 2: four phases with 2.25 taps on the mean
        b._shape[b.last] = (width, size, size)
        b.concat([b.last, skip])
    b.conv(12, 2)
    return tuple(b.specs)


def efficientnet_edgetpu_s() -> Specs:
    """EfficientNet-EdgeTPU-S on 224x224."""
    b = _inverted(Builder(3, 224).conv(32, 3, 2), 24, 4, 1, fused=True)
    stages = ((2, 3, 2, 8, 32, True), (4, 3, 2, 8, 48, True), (5, 5, 2, 8, 96, False))
    for count, kernel, stride, expand, out, fused in (*stages, (4, 5, 1, 8, 144, False), (2, 5, 2, 8, 192, False)):
        for i in range(count):
            _inverted(b, out, expand, stride if i == 0 else 1, kernel, fused=fused)
    return tuple(b.conv(1280, 1).pool(0).linear(1000).specs)


def mobilenet_v1_ssd() -> Specs:
    """MobileNetV1 with SSD heads (Huang et al., CVPR 2017).

    Coral's benchmark page says 224x224, its list of models 300x300 for the network of the same 6.5 ms; the published
    files take 300x300 and so 1.25 GMACs (2.494 GFLOPs in Open Model Zoo's card), which a test checks.
    """
    specs = list(mobilenet_v1(1.0, 300, 1)[:-2])
    b = Builder(1024, 10)
    b.specs, b.last = specs, specs[-1].name
    b._shape |= {spec.name: (spec.out_channels, spec.out_height, spec.out_width) for spec in specs}
    taps = [specs[-5].name, specs[-1].name]
    for squeeze, out in ((256, 512), (128, 256), (128, 256), (64, 128)):
        taps.append(b.conv(squeeze, 1).conv(out, 3, 2).last)
    for i, tap in enumerate(taps):
        anchors = 3 if i == 0 else 6
        b.at(tap).conv(anchors * 4, 1)
        b.at(tap).conv(anchors * 91, 1)
    return tuple(b.specs)


def inception_v4() -> Specs:
    """Inception v4 on 299x299 (Szegedy et al., 2016)."""
    b = Builder(3, 299).conv(32, 3, 2, pad="valid").conv(32, 3, pad="valid").conv(64, 3)
    _join(b, [[("p", 3)], [("v", 96, 3, 2)]])
    _join(b, [[(64, 1, 1), ("v", 96, 3, 1)], [(64, 1, 1), (64, 1, 7), (64, 7, 1), ("v", 96, 3, 1)]])
    _join(b, [[("v", 192, 3, 2)], [("p", 3)]])
    for _ in range(4):
        deep = [(64, 1, 1), (96, 3, 3), (96, 3, 3)]
        _join(b, [[(96, 1, 1)], [(64, 1, 1), (96, 3, 3)], deep, [("a",), (96, 1, 1)]])
    _join(b, [[("v", 384, 3, 2)], [(192, 1, 1), (224, 3, 3), ("v", 256, 3, 2)], [("p", 3)]])
    for _ in range(7):
        deep = [(192, 1, 1), (192, 7, 1), (224, 1, 7), (224, 7, 1), (256, 1, 7)]
        _join(b, [[(384, 1, 1)], [(192, 1, 1), (224, 1, 7), (256, 7, 1)], deep, [("a",), (128, 1, 1)]])
    _join(b, [[(192, 1, 1), ("v", 192, 3, 2)], [(256, 1, 1), (256, 1, 7), (320, 7, 1), ("v", 320, 3, 2)], [("p", 3)]])
    for _ in range(3):
        _inception_c(b)
    return tuple(b.pool(0).linear(1000).specs)


def _inception_c(b: Builder) -> None:
    """The 8x8 block, whose branches split again at their ends."""
    start = b.last
    ends = [b.conv(256, 1).last]
    middle = b.at(start).conv(384, 1).last
    ends += [b.conv(256, 1, s=3).last, b.at(middle).conv(256, 3, s=1).last]
    tall = b.at(start).conv(384, 1).conv(448, 3, s=1).conv(512, 1, s=3).last
    ends += [b.conv(256, 1, s=3).last, b.at(tall).conv(256, 3, s=1).last]
    ends.append(b.at(start).pool(3, 1).conv(256, 1).last)
    b.concat(ends)


def _join(b: Builder, branches: list[list[tuple[object, ...]]]) -> None:
    """Branches of (k, r, s) convolutions, ("v", k, r, stride) valid ones, ("p", r) and ("a",) pools, concatenated."""
    start, ends = b.last, []
    for branch in branches:
        b.at(start)
        for step in branch:
            if step[0] == "v":
                b.conv(int(step[1]), int(step[2]), int(step[3]), pad="valid")  # type: ignore[call-overload]
            elif step[0] == "p":
                b.pool(int(step[1]), 2, pad="valid")  # type: ignore[call-overload]
            elif step[0] == "a":
                b.pool(3, 1)
            else:
                b.conv(int(step[0]), int(step[1]), s=int(step[2]))  # type: ignore[call-overload]
        ends.append(b.last)
    b.concat([part for end in ends for part in end.split("+")])


NETWORKS = {
    "Unet Mv2": unet_mobilenet_v2,
    "DenseNet": densenet121,
    "Inception v4": inception_v4,
    "MobileNet v1": lambda: mobilenet_v1(1.0, 224, 1001),
    "MobileNet v1 SSD": mobilenet_v1_ssd,
    "ResNet-50 V1": lambda: resnet((3, 4, 6, 3), 299),
    "ResNet-152 V2": lambda: resnet((3, 8, 36, 3), 299),
    "VGG16": lambda: vgg16(head=True),
    "EfficientNet-EdgeTpu-S": efficientnet_edgetpu_s,
}
