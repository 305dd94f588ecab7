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


def with_a_fixed_layer(specs):
    """The same network with a layer that no policy changes between its sum and its pool."""
    at = next(i for i, spec in enumerate(specs) if spec.kind == "pool")
    summed, pool = specs[at - 1 : at + 1]
    size = summed.out_height
    fixed = conv("fixed", summed.out_channels, 32, size, inputs=(summed.name,), coupling=None, fixed=True)
    alone = [dataclasses.replace(spec, coupling=None) if spec.coupling == "a" else spec for spec in specs[:at]]
    pool = dataclasses.replace(pool, in_channels=32, out_channels=32, strata=(), inputs=("fixed",), coupling=None)
    rest = [dataclasses.replace(spec, in_channels=32) for spec in specs[at + 1 :]]
    return (*alone, fixed, pool, *rest)


def without_depthwise(specs):
    """The same network for accelerators that cannot run depthwise layers."""
    return tuple(
        dataclasses.replace(spec, kind="conv", groups=1) if spec.kind == "depthwise" else spec for spec in specs
    )


def uniform(structure, **choice):
    """The same choice for every layer."""
    return {name: LayerChoice(**choice) for name in structure.layers}
