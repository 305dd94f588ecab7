"""Small networks that the hardware models' tests share."""

import dataclasses

from rlcompress.spec import LayerChoice, LayerSpec


def conv(name, c, k, size, *, inputs, coupling, **more):
    """A 3x3 convolution on size x size pixels."""
    shape = {"out_height": size, "out_width": size, "in_height": size, "in_width": size}
    kernel = {"kernel_height": 3, "kernel_width": 3}
    names = {"name": name, "kind": "conv", "inputs": inputs, "coupling": coupling}
    return LayerSpec(in_channels=c, out_channels=k, **{**names, **shape, **kernel, **more})


def residual_network(size=12):
    """A stem, a residual block with a depthwise layer, pooling and a classifier."""
    one = {"kernel_height": 1, "kernel_width": 1}
    body = (
        conv("stem", 3, 24, size, inputs=(), coupling="a"),
        conv("one", 24, 40, size, inputs=("stem",), coupling="b"),
        conv("dw", 40, 40, size, inputs=("one",), coupling="b", kind="depthwise", groups=40),
        conv("two", 40, 24, size, inputs=("dw",), coupling="a", **one),
        conv("sum", 24, 24, size, inputs=("two", "stem"), coupling="a", kind="add", **one),
        conv("pool", 24, 24, 1, inputs=("sum",), coupling="a", kind="pool", in_height=size, in_width=size),
        LayerSpec(name="fc", kind="linear", in_channels=24, out_channels=10, inputs=("pool",)),
    )
    return tuple(dataclasses.replace(spec, input_density=0.6) for spec in body)


def without_depthwise(specs):
    """The same network for accelerators that cannot run depthwise layers."""
    return tuple(
        dataclasses.replace(spec, kind="conv", groups=1) if spec.kind == "depthwise" else spec for spec in specs
    )


def uniform(structure, **choice):
    """The same choice for every layer."""
    return {name: LayerChoice(**choice) for name in structure.layers}
