"""The parts an accelerator is described with: array, MAC energy, buffers, zeros, storage, traffic, static power."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Sparse = Literal["element", "n:m", "block", "pattern", "kernel"]
Format = Literal["dense", "bitmask", "csc", "n:m", "block", "pattern", "kernel", "run-length"]
Operand = Literal["weights", "inputs", "outputs"]


class Part(BaseModel):
    """Base of all parts: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bits(Part):
    """Widths in bits that the datapath runs.

    Attributes:
        weight: widths of weights; a narrower weight runs at the next width up.
        activation: widths of activations, likewise.
        partial_sum: of the accumulators.
        native: widest operand of one pass; wider ones take a pass for each pair of parts.
        packed: whether operands narrower than the datapath are stored narrow; else they take a full word.
    """

    weight: tuple[Count, ...] = Field(min_length=1)
    activation: tuple[Count, ...] = Field(min_length=1)
    partial_sum: int = Field(default=32, ge=8, le=64)
    native: Count = 16
    packed: bool = True


class SpatialArray(Part):
    """Output channels over columns, input channels over rows, output pixels and kernel positions in time.

    With ``fused`` precision a unit computes f = floor(native / w) floor(native / a) products in a cycle, and
    1 / (ceil(w / native) ceil(a / native)) above the native width (Sharma et al., ISCA 2018). ``im2col`` says for
    which layers the kernel window is laid out over the rows; depthwise layers always are, ``depthwise`` channels at
    once. ``fill`` multiplies the cycles.
    """

    type: Literal["spatial"]
    rows: Count
    columns: Count
    native_bits: Count = 8
    fused: bool = False
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
    mappings: tuple[Mapping, ...] = Field(min_length=1)

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


class UnitEnergy(Part):
    """Energy of a unit of the array for one working cycle, whatever it computes in it (Bit Fusion)."""

    type: Literal["unit"]
    pj: Positive


class MultiplierEnergy(Part):
    """Parallel multiplier and accumulator in 45 nm: 0.002995 w a + 0.00052 (w + a) + 0.003125 acc pJ, scaled.

    Horowitz (ISSCC 2014) in QKeras's form.
    """

    type: Literal["multiplier"]
    scale: Positive = 1.0


class GatedEnergy(Part):
    """A fixed 8x8 multiplier whose unused bits are gated: pj (g + (1 - g) w a / 64)."""

    type: Literal["gated"]
    pj: Positive
    ungated: Share


class MeasuredEnergy(Part):
    """A constant and a share in the density of the inputs, pJ a MAC, fitted to silicon that gates on zero inputs."""

    type: Literal["measured"]
    pj: NonNegative
    active_pj: NonNegative = 0.0


MacEnergy = Annotated[
    UnitEnergy | MultiplierEnergy | GatedEnergy | MeasuredEnergy,
    Field(discriminator="type"),
]


class SramEnergy(Part):
    """Energy taken from the table of SRAM macros (CACTI 7) for a technology and a width of the port."""

    tech_nm: Literal[22, 32, 45, 65]
    word_bits: int = Field(ge=32, le=256)
    banks: Count = 1


class Buffer(Part):
    """An on-chip buffer: what it holds, its size, and its energy a bit (given, or from the SRAM table).

    Attributes:
        name: for reports.
        holds: operands.
        kb: size in units of 1024 bytes.
        read_pj_per_bit: energy of a read.
        write_pj_per_bit: energy of a write.
        sram: in place of the two.
        word_bits: of a port of one bank.
        bits_per_cycle: through all ports, if they can bound a layer.
    """

    name: str
    holds: tuple[Operand, ...] = Field(min_length=1)
    kb: Positive
    read_pj_per_bit: NonNegative | None = None
    write_pj_per_bit: NonNegative | None = None
    sram: SramEnergy | None = None
    word_bits: Count = 32
    bits_per_cycle: Positive | None = None

    @model_validator(mode="after")
    def _energy_is_given_once(self) -> Self:
        given = self.read_pj_per_bit is not None and self.write_pj_per_bit is not None
        if given == (self.sram is not None):
            raise ValueError("give either read_pj_per_bit and write_pj_per_bit, or sram")
        return self


class Reuse(Part):
    """Products that one word fetched from a buffer is used for, at most; the layer's own reuse is the other bound."""

    weights: Count = 1
    inputs: Count = 1
    outputs: Count = 1_000_000


class RegisterFile(Part):
    """Register files in the PEs."""

    accesses_per_mac: NonNegative = 0.0
    pj: NonNegative = 0.0


class Network(Part):
    """Network on chip between buffers and PEs, pJ a bit delivered."""

    pj_per_bit: NonNegative = 0.0


class Dram(Part):
    """Off-chip memory; ``bits_per_cycle`` of the array's clock."""

    pj_per_bit: NonNegative
    bits_per_cycle: Positive


class Traffic(Part):
    """How operands get from DRAM to the buffers.

    Attributes:
        type: ``tiled`` searches tilings; ``whole`` keeps slices of one operand and streams the other past each;
            ``mapped`` follows the row-stationary mapping; ``once`` moves every operand once.
        dividing: only whole tiles are used: they divide the output pixels, and channels are padded to them.
        goal: what tilings are chosen for: the least DRAM traffic, or the fewest cycles and then the least traffic.
    """

    type: Literal["tiled", "whole", "mapped", "once"] = "tiled"
    dividing: bool = False
    goal: Literal["traffic", "cycles"] = "traffic"


class Zeros(Part):
    """What is done with zero weights and inputs.

    Attributes:
        skips: granularities whose zero weights take no cycles.
        skips_inputs: whether zero inputs take no cycles.
        balanced: granularities that give every processing element the same number of nonzeros.
        m: group size of n:m sparsity.
        block: weights in a block.
        idle: energy of a unit that waits for the slowest one, relative to a working one.
        decode_pj: index decoding and operand selection for one effectual unit step, by granularity.
    """

    skips: tuple[Sparse, ...] = ()
    skips_inputs: bool = False
    balanced: tuple[Sparse, ...] = ()
    m: int = Field(default=4, ge=2)
    block: int = Field(default=4, ge=2)
    idle: Share = 0.0
    decode_pj: dict[Sparse, NonNegative] = Field(default_factory=dict)


class Storage(Part):
    """How operands are stored where that is not dense.

    Attributes:
        weights: a format for each granularity.
        activations: format of inputs and outputs in DRAM.
        patterns: different kernel patterns.
        run_bits: bits of a run length in the compressed sparse column format.
    """

    weights: dict[Sparse, Format] = Field(default_factory=dict)
    activations: Literal["dense", "run-length"] = "dense"
    patterns: int = Field(default=8, ge=2)
    run_bits: int = Field(default=4, ge=1)


class Residency(Part):
    """What stays on chip.

    Attributes:
        kb: room for activations between layers, for all that live at the same time, in 1024 bytes.
        weights_kb: room for weights between inferences, filled in execution order, in 1024 bytes.
        span: a tensor whose last reader comes more than so many operators after its producer is never kept.
    """

    kb: NonNegative = 0.0
    span: Count = 8
    weights_kb: NonNegative = 0.0


class StaticPower(Part):
    """Leakage and clock power that flows as long as the accelerator works."""

    mw: NonNegative = 0.0


class VectorUnit(Part):
    """Element-wise operators and pooling.

    Attributes:
        lanes: operations a cycle.
        pool_lanes: the same for pooling, where it differs.
        join_lanes: elements a cycle that are copied where a layer reads several outputs as one; free if not given.
        pj: energy of an operation.
    """

    lanes: Positive
    pool_lanes: Positive | None = None
    join_lanes: Positive | None = None
    pj: NonNegative = 0.0
