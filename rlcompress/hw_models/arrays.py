"""The arrays an accelerator can be described with."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rlcompress.hw_models.part import Count, NonNegative, Part, Positive


class SpatialArray(Part):
    """Output channels over columns, input channels over rows, output pixels and kernel positions in time.

    With ``fused`` precision a unit computes f = floor(native / w) floor(native / a) products in a cycle, and
    1 / (ceil(w / native) ceil(a / native)) above the native width (Sharma et al., ISCA 2018). ``im2col`` says for
    which layers the kernel window is laid out over the rows; depthwise layers always are, ``depthwise`` channels at
    once. ``fill`` multiplies the cycles. A ``serial`` array takes a cycle for every bit of the activations (Stripes,
    Judd et al., MICRO 2016) or for every pair of bits (Loom, Sharify et al., DAC 2018).
    """

    type: Literal["spatial"]
    rows: Count
    columns: Count
    native_bits: Count = 8
    fused: bool = False
    serial: Literal["no", "activations", "both"] = "no"
    im2col: Literal["never", "first", "always"] = "never"
    depthwise: Count = 1
    fill: Positive = 1.0


class SystolicArray(Part):
    """A systolic array of rows x columns, weight- or output-stationary, as SCALE-Sim counts it."""

    type: Literal["systolic"]
    rows: Count
    columns: Count
    dataflow: Literal["ws", "os"]


class AtomicArray(Part):
    """NVDLA's convolution core: ``macs`` multipliers over channel and kernel atoms.

    Attributes:
        macs: multipliers.
        channel_atom: input channels are padded to multiples of it.
        kernel_atom: output channels are padded to multiples of it.
        winograd: whether 3x3 layers of stride 1 take 4 / 9 of the multiplications.
        space_to_depth: whether strided layers move the stride into channels.
    """

    type: Literal["atomic"]
    macs: Count
    channel_atom: Count = 16
    kernel_atom: Count = 16
    winograd: bool = False
    space_to_depth: bool = True


class Mapping(Part):
    """A row-stationary mapping for layers whose kernel has at least ``kernel`` rows and whose output at most ``width``.

    Attributes:
        kernel: fewest kernel rows.
        width: most output columns.
        qr: input channels in the array at once (q channels a PE, r sets of PEs).
        pt: output channels in the array at once (p channels a PE, t sets of PEs).
        m: output channels whose partial sums are in the buffer.
        n: images in the buffer.
        e: output rows in the buffer.
    """

    kernel: Count
    width: Count = 1_000_000
    qr: Count
    pt: Count
    m: Count
    n: Count = 1
    e: Count


class RowStationaryArray(Part):
    """Eyeriss's rows x columns of PEs (Chen et al., JSSC 2017); the first mapping that fits a layer is used."""

    type: Literal["row-stationary"]
    rows: Count
    columns: Count
    fill: Positive = 1.0
    mappings: tuple[Mapping, ...] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _covers_all(self) -> Self:
        last = self.mappings[-1]
        if last.kernel != 1 or last.width < 1_000_000:
            raise ValueError("mappings must end with one for every layer; add one with kernel 1 and without width")
        return self


class MicroblockArray(Part):
    """Arm Ethos-U: output micro-blocks of width x height x depth, 8 input channels each, in steps of 4 cycles.

    Attributes:
        width: of the micro-block.
        height: of the micro-block.
        depth: of the micro-block.
        block: most output elements of a block, which is computed, then drained, and costs one fetch of its operands.
        drain: cycles the output unit takes for an element.
        latency: cycles to fetch and write a block, besides its bytes.
        bytes_per_cycle: of the SRAM port.
    """

    type: Literal["microblock"]
    width: Count
    height: Count
    depth: Count
    block: Count
    drain: Positive
    latency: NonNegative
    bytes_per_cycle: Positive = 8.0


class ScalarArray(Part):
    """A processor: cycles for a multiply-accumulate by class of layer, and for an operator's start."""

    type: Literal["scalar"]
    conv: Positive
    depthwise: Positive
    linear: Positive
    fixed: NonNegative = 0.0
    unpack: NonNegative = 0.0


class InterleavedArray(Part):
    """PEs that hold interleaved rows of a compressed matrix and skip zero weights and inputs (Han et al., ISCA 2016).

    ``queue`` columns wait in front of each PE; PEs drift apart by that much before they wait for each other.
    """

    type: Literal["interleaved"]
    pes: Count
    queue: Count


Array = Annotated[
    SpatialArray | SystolicArray | AtomicArray | RowStationaryArray | MicroblockArray | ScalarArray | InterleavedArray,
    Field(discriminator="type"),
]
