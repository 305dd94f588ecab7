"""`Description`: an accelerator as validated data (the YAML files in ``descriptions``)."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from rlcompress.hw_models import parts
from rlcompress.hw_models.arrays import Array
from rlcompress.hw_models.part import Count, Part, Positive, Text

Confidence = Literal["measured", "silicon-fitted", "simulator-matched", "estimate"]
Kind = Literal["conv", "depthwise", "linear", "matmul", "pool", "add"]


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
        accelerators: how many work on a layer together; each computes a share of its output channels (or of its
            channels, where there is no reduction over them), reads all inputs it needs, and shares one DRAM.
        energy_unit: what the energies are in; ``MAC`` where they are relative to one 16-bit MAC.
        writeback: width at which outputs leave the buffer: the next reader's, or partial sums that are also read
            back once (Bit Fusion's simulator).
        fuse: whether a pool or add that follows its only producer works on the producer's tile.
        overlap: whether transfers hide behind computation; their times add up otherwise.
        round_to: searches for it keep channels in multiples of it, such as its array's width, unless told otherwise.
    """

    name: str = Field(pattern="^[a-z0-9_]+$", max_length=200)
    title: Text
    source: Text
    confidence: Confidence
    clock_mhz: Positive
    kinds: tuple[Kind, ...] = Field(default=("conv", "depthwise", "linear", "matmul", "pool", "add"), max_length=6)
    batch: Count = 1
    accelerators: Count = 1
    energy_unit: Literal["pJ", "MAC"] = "pJ"
    bits: parts.Bits
    array: Array
    mac: parts.MacEnergy
    registers: parts.RegisterFile = parts.RegisterFile()
    network: parts.Network = parts.Network()
    buffers: tuple[parts.Buffer, ...] = Field(min_length=1, max_length=3)
    reuse: parts.Reuse = parts.Reuse()
    dram: parts.Dram
    traffic: parts.Traffic = parts.Traffic()
    zeros: parts.Zeros = parts.Zeros()
    storage: parts.Storage = parts.Storage()
    residency: parts.Residency = parts.Residency()
    static: parts.StaticPower = parts.StaticPower()
    vector: parts.VectorUnit
    writeback: Literal["quantised", "partial sums"] = "quantised"
    fuse: bool = True
    overlap: bool = True
    round_to: Count = 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        held = [operand for buffer in self.buffers for operand in buffer.holds]
        for operand in ("weights", "inputs", "outputs"):
            if held.count(operand) != 1:
                raise ValueError(f"buffers must hold {operand} exactly once, got {held.count(operand)}; mend 'holds'")
        if self.traffic.type == "mapped" and self.array.type != "row-stationary":
            raise ValueError("traffic.type 'mapped' needs array.type 'row-stationary'; set type to 'tiled'")
        smallest = max(*self.bits.weight, *self.bits.activation, self.bits.partial_sum)
        for buffer in self.buffers:
            if buffer.kb * 8 * 1024 < 2 * smallest * len(buffer.holds):
                raise ValueError(f"buffers: {buffer.name} of {buffer.kb} kB cannot hold one tile; raise its kb")
        return self

    def buffer(self, operand: str) -> parts.Buffer:
        """The buffer that holds an operand."""
        return next(buffer for buffer in self.buffers if operand in buffer.holds)

    @property
    def summary(self) -> Mapping[str, Any]:
        """Name, title, confidence and source, for lists."""
        return {key: getattr(self, key) for key in ("name", "title", "confidence", "source")}

    @property
    def word_bits(self) -> Mapping[str, int]:
        """Widest weight and activation of the datapath."""
        return {"weight": max(self.bits.weight), "activation": max(self.bits.activation)}
