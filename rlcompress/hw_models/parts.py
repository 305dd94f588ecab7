"""The parts an accelerator is described with beside its array: energies, buffers, zeros, storage, traffic."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rlcompress.hw_models.part import Count, NonNegative, Part, Positive, Share, Text, Width
from rlcompress.spec import ENTRY_BITS

Sparse = Literal["element", "n:m", "block", "pattern", "kernel"]
Format = Literal["dense", "bitmask", "csc", "n:m", "block", "pattern", "kernel", "run-length"]
IndexWidth = Annotated[int, Field(ge=2, lt=ENTRY_BITS)]
Operand = Literal["weights", "inputs", "outputs"]


class Bits(Part):
    """Widths in bits that the datapath runs.

    Attributes:
        weight: widths of weights; a narrower weight runs at the next width up.
        activation: widths of activations, likewise.
        partial_sum: of the accumulators.
        native: widest operand of one pass; wider ones take a pass for each pair of parts.
        packed: whether operands narrower than the datapath are stored narrow; else they take a full word.
    """

    weight: tuple[Width, ...] = Field(min_length=1, max_length=64)
    activation: tuple[Width, ...] = Field(min_length=1, max_length=64)
    partial_sum: int = Field(default=32, ge=8, le=64)
    native: Count = 16
    packed: bool = True


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

    name: Text
    holds: tuple[Operand, ...] = Field(min_length=1, max_length=3)
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
    """How often the array uses what it fetches; the layer's own reuse is the other bound.

    Attributes:
        weights: products that one fetched weight is used for, at most.
        inputs: products that one fetched input is used for, at most.
        outputs: products that are accumulated before a partial sum goes to the buffer.
    """

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

    skips: tuple[Sparse, ...] = Field(default=(), max_length=5)
    skips_inputs: bool = False
    balanced: tuple[Sparse, ...] = Field(default=(), max_length=5)
    m: int = Field(default=4, ge=2, le=1024)
    block: int = Field(default=4, ge=2, le=1024)
    idle: Share = 0.0
    decode_pj: dict[Sparse, NonNegative] = Field(default_factory=dict)


class Storage(Part):
    """How operands are stored where that is not dense.

    Attributes:
        weights: a format for each granularity.
        activations: format of inputs and outputs in DRAM.
        patterns: different kernel patterns.
        run_bits: bits of a run length in the compressed sparse column format.
        index_bits: widths of indices into a codebook of 8-bit weights that a layer's weights may be stored as
            (clustering); a narrower index takes the next width up. None where only the weights themselves are stored.
        channel_bits: scale and bias of an output channel (batch normalisation is folded into them).
    """

    weights: dict[Sparse, Format] = Field(default_factory=dict)
    activations: Literal["dense", "run-length"] = "dense"
    patterns: int = Field(default=8, ge=2, le=1024)
    run_bits: int = Field(default=4, ge=1, le=64)
    index_bits: tuple[IndexWidth, ...] = Field(default=(), max_length=8)
    channel_bits: int = Field(default=0, ge=0, le=4096)


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
