"""Bit Fusion's benchmark networks (Sharma et al., ISCA 2018) with the widths each layer runs at."""

from benchmarks.networks.builder import Builder
from rlcompress.spec import LayerSpec

Widths = dict[str, tuple[int, int]]
"""Layer name -> (weight bits, activation bits)."""


def alexnet_2x() -> tuple[tuple[LayerSpec, ...], Widths]:
    """AlexNet, twice as wide, in two halves; 4 bits, 8 at the ends."""
    specs: list[LayerSpec] = []
    shapes = {"conv1": (3, 227, 96, 11, 4, "valid"), "conv2": (96, 28, 256, 5, 1, "same")}
    shapes |= {"conv3": (512, 14, 384, 3, 1, "same"), "conv4": (384, 14, 384, 3, 1, "same")}
    shapes |= {"conv5": (384, 14, 256, 3, 1, "same")}
    for half in "ab":
        for name, (c, size, k, r, stride, pad) in shapes.items():
            specs += _alone(Builder(c, size).conv(k, r, stride, pad=pad, name=f"{name}_{half}"), first=name == "conv1")
    for name, c, k in (("fc1", 512 * 49, 0), ("fc2", 8192, 8192), ("fc3", 8192, 1000)):
        specs += _alone(Builder(c if k else 18432, 1).linear(k or 8192, name=name), first=False)
    widths = {spec.name: (4, 4) for spec in specs}
    return tuple(specs), {**widths, "conv1_a": (8, 8), "conv1_b": (8, 8), "fc3": (8, 8)}


def _alone(builder: Builder, *, first: bool) -> list[LayerSpec]:
    """The builder's one layer, read by nothing; not the first one of its network unless ``first``."""
    (spec,) = builder.specs
    values = {field: getattr(spec, field) for field in spec.__dataclass_fields__}
    padded = {
        key: (values[f"out_{key[3:]}"] - 1) * spec.stride + spec.kernel_height for key in ("in_height", "in_width")
    }
    spec = LayerSpec(**{**values, **padded})
    if first:
        return [spec]
    values |= padded
    source = LayerSpec(
        name=f"{spec.name}.in",
        kind="pool",
        out_channels=spec.in_channels,
        in_channels=spec.in_channels,
        out_height=spec.in_height,
        out_width=spec.in_width,
        in_height=spec.in_height,
        in_width=spec.in_width,
    )
    return [source, LayerSpec(**{**values, "inputs": (source.name,)})]


def _chain(
    layers: list[tuple[str, int, int, int, int, int]], bits: dict[str, tuple[int, int]]
) -> tuple[tuple[LayerSpec, ...], Widths]:
    """Layers (name, inputs, size, outputs, kernel, stride), each on its own."""
    specs: list[LayerSpec] = []
    for i, (name, c, size, k, r, stride) in enumerate(layers):
        builder = Builder(c, size)
        layer = builder.linear(k, name=name) if r == 0 else builder.conv(k, r, stride, name=name)
        specs += _alone(layer, first=i == 0)
    return tuple(specs), {layer[0]: bits.get(layer[0], bits[""]) for layer in layers}


def svhn() -> tuple[tuple[LayerSpec, ...], Widths]:
    """SVHN, binary but for the first layer's inputs."""
    layers = [("conv0", 3, 32, 64, 3, 1), ("conv1", 64, 32, 64, 3, 1), ("conv2", 64, 16, 128, 3, 1)]
    layers += [("conv3", 128, 16, 128, 3, 1), ("conv4", 128, 8, 256, 3, 1), ("conv5", 256, 8, 256, 3, 1)]
    layers += [("fc6", 4096, 1, 1024, 0, 1), ("fc7", 1024, 1, 1024, 0, 1), ("fc8", 1024, 1, 10, 0, 1)]
    return _chain(layers, {"": (1, 1), "conv0": (1, 8)})


def cifar10() -> tuple[tuple[LayerSpec, ...], Widths]:
    """CIFAR-10, 2 bits but for the first layer."""
    layers = [("conv0", 3, 32, 128, 3, 1), ("conv1", 128, 32, 128, 3, 1), ("conv2", 128, 16, 256, 3, 1)]
    layers += [("conv3", 256, 16, 256, 3, 1), ("conv4", 256, 8, 512, 3, 1), ("conv5", 512, 8, 512, 3, 1)]
    layers += [("fc6", 8192, 1, 1024, 0, 1), ("fc7", 1024, 1, 1024, 0, 1), ("fc8", 1024, 1, 10, 0, 1)]
    return _chain(layers, {"": (2, 2), "conv0": (8, 8)})


def lenet5() -> tuple[tuple[LayerSpec, ...], Widths]:
    """LeNet-5, 2 bits."""
    layers = [("conv0", 1, 32, 32, 5, 1), ("conv1", 32, 16, 64, 5, 1)]
    layers += [("fc1", 4096, 1, 512, 0, 1), ("fc2", 512, 1, 10, 0, 1)]
    return _chain(layers, {"": (2, 2)})


def resnet18_2x() -> tuple[tuple[LayerSpec, ...], Widths]:
    """The authors' ResNet-18, twice as wide: a 1x1 and a 3x3 layer in each of two blocks a module, 4 bits."""
    layers = [("conv1_a", 3, 224, 128, 7, 2)]
    inputs, size = 128, 56
    for module, k in enumerate((128, 256, 512, 1024), 2):
        for block in "12":
            stride = 2 if module > 2 and block == "1" else 1
            layers.append((f"module{module}_{block}_a", inputs, size, k, 1, stride))
            size //= stride
            layers.append((f"module{module}_{block}_b", k, size, k, 3, 1))
            inputs = k
    return _chain(layers, {"": (4, 4), "conv1_a": (8, 8)})


NETWORKS = {
    "AlexNet": alexnet_2x,
    "SVHN": svhn,
    "CIFAR10": cifar10,
    "LeNet-5": lenet5,
    "RESNET-18": resnet18_2x,
}
