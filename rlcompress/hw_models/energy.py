"""Energy of the array, the buffers and what lies between them (equations 6 to 8), in pJ."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlcompress.hw_models.array_rows import buffer_words
from rlcompress.hw_models.arrays import RowStationaryArray
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.parts import Buffer, GatedEnergy, MeasuredEnergy, MultiplierEnergy, UnitEnergy
from rlcompress.hw_models.sram import access_pj_per_bit
from rlcompress.hw_models.traffic import Moves, Stored, channel_bits
from rlcompress.hw_models.use import ArrayUse, run_width
from rlcompress.hw_models.work import Floats, Work
from rlcompress.hw_models.zeros import decode_energy_pj, executed_density, words_touched


def _unit(work: Work, description: Description, mac: UnitEnergy, use: ArrayUse) -> Floats:
    """Working units at full energy, waiting ones at the idle share, plus decoding; never above dense execution."""
    zeros = description.zeros
    decode = np.where(executed_density(work, zeros) < 1, decode_energy_pj(work, zeros), 0.0)
    skipping = use.working * (mac.pj + decode) + use.waiting * mac.pj * zeros.idle
    return np.asarray(np.minimum(skipping, use.dense * mac.pj))


def _multiplier(work: Work, description: Description, mac: MultiplierEnergy, use: ArrayUse) -> Floats:
    w = run_width(work.weight_bits, description.bits.weight)
    a = run_width(work.activation_bits, description.bits.activation)
    each = 0.002995 * w * a + 0.00052 * (w + a) + 0.003125 * description.bits.partial_sum
    return np.asarray(use.working * each * mac.scale)


def _gated(work: Work, _: Description, mac: GatedEnergy, use: ArrayUse) -> Floats:
    share = np.minimum(work.weight_bits * work.activation_bits / 64, 1.0)
    return np.asarray(use.working * mac.pj * (mac.ungated + (1 - mac.ungated) * share))


def _measured(work: Work, _: Description, mac: MeasuredEnergy, use: ArrayUse) -> Floats:
    return np.asarray(use.working * (mac.pj + mac.active_pj * work.input_density))


MAC_ENERGY: dict[str, Callable[[Work, Description, Any, ArrayUse], Floats]] = {
    "unit": _unit,
    "multiplier": _multiplier,
    "gated": _gated,
    "measured": _measured,
}


def mac_pj(work: Work, description: Description, use: ArrayUse) -> Floats:
    """Energy of array and vector unit."""
    array = MAC_ENERGY[description.mac.type](work, description, description.mac, use)
    return np.where(work.computes, array, vector_operations(work) * description.vector.pj)


def vector_operations(work: Work) -> Floats:
    """Additions or comparisons of pool and add."""
    return np.asarray(work.outputs * work.R * work.S)


@dataclass(frozen=True, slots=True)
class Accesses:
    """Bits read from and written to the buffers, by operand, arrays [N]."""

    reads: dict[str, Floats]
    writes: dict[str, Floats]

    @property
    def total(self) -> Floats:
        """All of them."""
        return np.asarray(sum(self.reads.values()) + sum(self.writes.values()))


def accesses(work: Work, description: Description, stored: Stored, moved: Moves) -> Accesses:
    """What goes through the ports of the buffers for one image."""
    kept = work.outputs * work.output_bits * (1 - work.output_off_chip)
    array = description.array
    if isinstance(array, RowStationaryArray):
        inputs, sums = (words * description.word_bits["activation"] for words in buffer_words(work, array))
        on_array = work.computes
        reads = {
            "weights": 0 * sums,
            "inputs": np.where(on_array, inputs, 0.0),
            "outputs": np.where(on_array, sums / 2, 0.0),
        }
        return Accesses(reads, {"weights": 0 * sums, "inputs": 0 * sums, "outputs": np.where(on_array, sums / 2, 0.0)})
    reads = _operand_reads(work, description, stored)
    window = work.group_inputs * work.R * work.S
    updates = np.ceil(window / description.reuse.outputs)
    passes = np.where(work.computes, (stored.sums + moved.sums_out) * updates, 0.0)
    reads["outputs"] = passes + moved.outputs * work.output_off_chip + moved.sums_out
    writes = {
        "weights": moved.weights * work.weights_off_chip,
        "inputs": moved.inputs * work.input_off_chip + kept,
        "outputs": passes + moved.sums_in,
    }
    return Accesses(reads, writes)


def _operand_reads(work: Work, description: Description, stored: Stored) -> dict[str, Floats]:
    """Two operands a product, shared by as many products as the array reuses a word for."""
    reuse, zeros = description.reuse, description.zeros
    weight_use = np.minimum(reuse.weights, work.P * work.Q)
    input_use = np.minimum(reuse.inputs, work.group_outputs)
    effectual = work.macs * executed_density(work, zeros)
    skipping = effectual < work.macs
    values = work.weights * work.density * work.stored_width + channel_bits(work, description) + work.codebook_bits
    index = np.maximum(0.0, stored.weights - values) * work.P * work.Q
    touched = words_touched(work, zeros, description.buffer("inputs").word_bits)
    if zeros.skips_inputs:
        effectual, touched = effectual * work.input_density, touched * work.input_density
    weights = (effectual * work.stored_width + np.where(skipping, index, 0.0)) / weight_use + work.codebook_bits
    inputs = work.macs * touched * work.activation_bits / input_use
    return {
        "weights": np.where(work.computes, weights, 0.0),
        "inputs": np.where(work.computes, inputs, work.inputs * work.input_bits),
    }


def energy_per_bit(buffer: Buffer) -> tuple[float, float]:
    """Energy of a bit read and of a bit written, in pJ."""
    if buffer.sram is None:
        return buffer.read_pj_per_bit or 0.0, buffer.write_pj_per_bit or 0.0
    return access_pj_per_bit(buffer.sram, buffer.kb)


def buffer_pj(description: Description, used: Accesses) -> Floats:
    """Energy of the buffers."""
    energy: Floats = np.zeros_like(used.reads["weights"])
    for operand in ("weights", "inputs", "outputs"):
        read, write = energy_per_bit(description.buffer(operand))
        energy = energy + used.reads[operand] * read + used.writes[operand] * write
    return energy
