"""AlexNet, VGG-16 and ResNets, as the accelerators' papers use them."""

from benchmarks.networks.builder import Builder
from rlcompress.spec import LayerSpec

Specs = tuple[LayerSpec, ...]


def alexnet(densities: tuple[float, ...] = (1.0,) * 5) -> Specs:
    """AlexNet's convolutions on 227x227 (two groups in CONV2, 4, 5) with pooling."""
    d = densities
    b = Builder(3, 227).conv(96, 11, 4, pad="valid", name="CONV1", density=d[0]).pool(3, 2, pad="valid")
    b.conv(256, 5, groups=2, name="CONV2", density=d[1]).pool(3, 2, pad="valid")
    b.conv(384, 3, name="CONV3", density=d[2]).conv(384, 3, groups=2, name="CONV4", density=d[3])
    b.conv(256, 3, groups=2, name="CONV5", density=d[4]).pool(3, 2, pad="valid")
    return tuple(b.specs)


def alexnet_with_fc() -> Specs:
    """AlexNet with its fully connected layers."""
    b = Builder(256, 6)
    b.linear(4096, name="FC1").linear(4096, name="FC2").linear(1000, name="FC3")
    head = [spec if i else _reads(spec, alexnet()[-1].name) for i, spec in enumerate(b.specs)]
    return (*alexnet(), *head)


def _reads(spec: LayerSpec, name: str) -> LayerSpec:
    return LayerSpec(**{**{f: getattr(spec, f) for f in spec.__dataclass_fields__}, "inputs": (name,)})


def vgg16(densities: tuple[float, ...] = (1.0,) * 13, *, head: bool = False) -> Specs:
    """VGG-16's convolutions on 224x224."""
    b, i = Builder(3, 224), 0
    for block, (k, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
        for j in range(count):
            b.conv(k, 3, name=f"CONV{block}-{j + 1}", density=densities[i])
            i += 1
        b.pool(2)
    if head:
        b.linear(4096).linear(4096).linear(1000)
    return tuple(b.specs)


def resnet(blocks: tuple[int, ...], size: int = 224, *, first_stride_on_3x3: bool = True) -> Specs:
    """A bottleneck ResNet (50: 3, 4, 6, 3; 152: 3, 8, 36, 3)."""
    b = Builder(3, size).conv(64, 7, 2).pool(3, 2)
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for i in range(count):
            stride = 2 if stage and not i else 1
            start = shortcut = b.last
            if not i:
                shortcut = b.conv(width * 4, 1, stride).last
            b.at(start).conv(width, 1, 1 if first_stride_on_3x3 else stride)
            b.conv(width, 3, stride if first_stride_on_3x3 else 1).conv(width * 4, 1).add(shortcut)
    return tuple(b.pool(0).linear(1000).specs)


def resnet20(classes: int = 10) -> Specs:
    """CIFAR's ResNet-20 with 1x1 shortcuts."""
    b = Builder(3, 32).conv(16, 3)
    for stage, width in enumerate((16, 32, 64)):
        for i in range(3):
            stride = 2 if stage and not i else 1
            start = shortcut = b.last
            if stride == 2:
                shortcut = b.conv(width, 1, 2).last
            b.at(start).conv(width, 3, stride).conv(width, 3).add(shortcut)
    return tuple(b.pool(0).linear(classes).specs)
