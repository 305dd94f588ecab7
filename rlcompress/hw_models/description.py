"""`Description`: an accelerator as validated data (the YAML files in ``descriptions``)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rlcompress.spec import KINDS

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Sparse = Literal["element", "n:m", "block", "pattern", "kernel"]
Format = Literal["dense", "bitmask", "csc", "n:m", "block", "pattern", "kernel", "run-length"]
Confidence = Literal["silicon-fitted", "simulator-matched", "estimate"]


class Part(BaseModel):
    """Base of all parts: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bits(Part):
    """Widths the datapath runs, in bits; a narrower operand is stored narrow and runs at the next width up."""

    weight: tuple[int, ...] = Field(min_length=1)
    activation: tuple[int, ...] = Field(min_length=1)
    partial_sum: int = Field(default=32, ge=8, le=64)


class SpatialArray(Part):
    """Output channels over columns, input channels over rows, output pixels and kernel positions in time.

    With ``fused`` precision a unit of the array computes f = floor(native / w) * floor(native / a) products in a
    cycle, and 1 / ceil(w / native) / ceil(a / native) above the native width (Sharma et al., ISCA 2018).
    """

    type: Literal["spatial"]
    rows: int = Field(gt=0)
    columns: int = Field(gt=0)
    native_bits: int = Field(default=8, gt=0)
    fused: bool = False
    im2col: Literal["never", "first", "always"] = "never"


class MacEnergy(Part):
    """Energy of the multiply-accumulate array."""

    type: Literal["fused"]
    pj: Positive


class Buffer(Part):
    """An on-chip buffer: what it holds, its size, and its energy a bit."""

    name: str
    holds: tuple[Literal["weights", "inputs", "outputs"], ...] = Field(min_length=1)
    kb: Positive
    read_pj_per_bit: NonNegative
    write_pj_per_bit: NonNegative
    word_bits: int = Field(default=32, gt=0)


class Dram(Part):
    """Off-chip memory."""

    pj_per_bit: NonNegative
    bits_per_cycle: Positive


class Zeros(Part):
    """What is done with zero weights.

    Attributes:
        skips: granularities whose zeros take no cycles.
        balanced: those of them that give every processing element the same number of nonzeros.
        m: group size of n:m sparsity.
        block: weights in a block.
        idle: energy of a unit that waits for the slowest one, relative to a working one.
        decode_pj: index decoding and operand selection for one effectual unit step, by granularity.
    """

    skips: tuple[Sparse, ...] = ()
    balanced: tuple[Sparse, ...] = ()
    m: int = Field(default=4, ge=2)
    block: int = Field(default=4, ge=2)
    idle: float = Field(default=0.0, ge=0, le=1)
    decode_pj: dict[Sparse, NonNegative] = Field(default_factory=dict)


class Storage(Part):
    """How sparse weights are stored: a format for each granularity that is not stored dense."""

    weights: dict[Sparse, Format] = Field(default_factory=dict)
    patterns: int = Field(default=8, ge=2)
    run_bits: int = Field(default=4, ge=1)


class Residency(Part):
    """Activations that stay on chip between layers: room for all that live at the same time."""

    kb: NonNegative = 0.0


class StaticPower(Part):
    """Leakage and clock power that flows as long as the accelerator works."""

    mw: NonNegative = 0.0


class VectorUnit(Part):
    """Element-wise operators and pooling: operations a cycle and energy an operation."""

    lanes: int = Field(gt=0)
    pj: NonNegative = 0.0


class Description(Part):
    """An accelerator.

    Attributes:
        name: as given to `load`.
        title: one line for tables.
        source: where structure and constants come from.
        confidence: how the figures were checked.
        clock_mhz: of the array.
        kinds: operator kinds it runs.
        batch: images in flight; figures are for one image.
        writeback: width at which outputs leave the buffer: the next reader's, or partial sums that are also read
            back once (Bit Fusion's simulator).
    """

    name: str = Field(pattern="^[a-z0-9_]+$")
    title: str
    source: str
    confidence: Confidence
    clock_mhz: Positive
    kinds: tuple[str, ...] = KINDS
    batch: int = Field(default=1, ge=1)
    bits: Bits
    array: SpatialArray
    mac: MacEnergy
    buffers: tuple[Buffer, ...] = Field(min_length=1)
    dram: Dram
    zeros: Zeros = Zeros()
    storage: Storage = Storage()
    residency: Residency = Residency()
    static: StaticPower = StaticPower()
    vector: VectorUnit
    writeback: Literal["quantised", "partial sums"] = "quantised"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise ValueError(f"kinds holds {unknown[0]!r}; choose from {', '.join(KINDS)}")
        held = [operand for buffer in self.buffers for operand in buffer.holds]
        for operand in ("weights", "inputs", "outputs"):
            if held.count(operand) != 1:
                raise ValueError(f"buffers must hold {operand} exactly once, got {held.count(operand)}; mend 'holds'")
        return self

    def buffer(self, operand: str) -> Buffer:
        """The buffer that holds an operand."""
        return next(buffer for buffer in self.buffers if operand in buffer.holds)

    @property
    def summary(self) -> Mapping[str, Any]:
        """Name, title, confidence and source, for lists."""
        return {key: getattr(self, key) for key in ("name", "title", "confidence", "source")}
