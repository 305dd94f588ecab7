"""Figures of operator instances on a described accelerator: the equations put together."""

import numpy as np

from rlcompress.hw_models.array import ArrayUse, spatial
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.figures import Figures, latency_cycles
from rlcompress.hw_models.storage import weight_bits
from rlcompress.hw_models.tiling import Extents, Traffic, best_traffic
from rlcompress.hw_models.work import Floats, Work
from rlcompress.hw_models.zeros import decode_energy_pj, executed_density, words_touched

KILOBYTE_BITS = 8 * 1024.0


def evaluate(work: Work, description: Description) -> Figures:
    """Energy, cycles and traffic of N operator instances, for one image each."""
    stored, metadata = weight_bits(work, description)
    use = spatial(work, description)
    sums = work.outputs * description.bits.partial_sum
    traffic = _traffic(work, description, stored, sums)
    images = description.batch
    weights, inputs = traffic.weights / images, traffic.inputs / images
    written = work.outputs * (
        work.output_bits if description.writeback == "quantised" else description.bits.partial_sum
    )
    first_read = sums if description.writeback == "partial sums" else 0.0 * sums
    spilled = traffic.sum_reads * sums
    dram_inputs = inputs * work.input_off_chip
    dram_outputs = written * work.output_off_chip + first_read + 2 * spilled
    dram_bits = weights + dram_inputs + dram_outputs
    reads, writes = _buffer_bits(work, description, stored, sums, weights, inputs, first_read + 2 * spilled)
    dram_cycles = dram_bits / description.dram.bits_per_cycle
    fill = _fill_bits(work, description, stored, sums, traffic) / description.dram.bits_per_cycle
    cycles = latency_cycles(use.cycles + _vector_cycles(work, description), 0.0 * sums, dram_cycles, fill)
    energy = np.stack(
        [
            _mac_pj(work, description, use),
            np.zeros_like(sums),
            np.zeros_like(sums),
            _buffer_pj(description, reads, writes),
            dram_bits * description.dram.pj_per_bit,
            description.static.mw * 1e3 / description.clock_mhz * cycles,
        ]
    )
    return Figures(
        energy_pj=energy,
        cycles=cycles,
        compute_cycles=use.cycles,
        glb_cycles=0.0 * sums,
        dram_cycles=dram_cycles,
        macs=work.macs,
        effectual_macs=work.macs * work.density,
        utilisation=use.utilisation,
        dram_weights_bits=weights,
        dram_inputs_bits=dram_inputs,
        dram_outputs_bits=dram_outputs,
        glb_bits=sum(reads.values(), 0.0 * sums) + sum(writes.values(), 0.0 * sums),
        metadata_bits=metadata,
        buffered_bits=_peak_bits(work, traffic),
        schedule=np.where(work.computes, traffic.schedule, -1.0),
        k_tile=traffic.k_tile,
        c_tile=traffic.c_tile,
        x_tile=traffic.x_tile,
    )


def _traffic(work: Work, description: Description, stored: Floats, sums: Floats) -> Traffic:
    lowered = work.first & (description.array.im2col != "never") & work.computes
    halo = ((work.P - 1) * work.stride + work.R) * ((work.Q - 1) * work.stride + work.S)
    touched = np.where(lowered, work.P * work.Q * work.R * work.S, np.minimum(halo, work.H * work.W))
    inputs = np.where(work.computes, work.C * touched, work.inputs) * work.input_bits
    one = np.ones_like(sums)
    extents = Extents(
        K=np.where(work.computes, work.K, one),
        C=np.where(work.computes, work.group_inputs, one),
        P=work.P,
        Q=work.Q,
        R=np.where(lowered | ~work.computes, one, work.R),
        S=np.where(lowered | ~work.computes, one, work.S),
        stride=np.where(lowered | ~work.computes, one, work.stride),
        images=one * description.batch,
        weight_bits=stored,
        input_bits=inputs,
        output_bits=work.outputs * work.output_bits,
        sum_bits=sums,
        input_price=work.input_off_chip,
    )
    half = KILOBYTE_BITS / 2
    room = [one * half * description.buffer(operand).kb for operand in ("weights", "inputs", "outputs")]
    return best_traffic(extents, (room[0], room[1], room[2]))


def _buffer_bits(
    work: Work,
    description: Description,
    stored: Floats,
    sums: Floats,
    weights: Floats,
    inputs: Floats,
    spilled: Floats,
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Bits read from and written to the buffers, by operand: two operands a product, one accumulated sum an output."""
    uses = work.P * work.Q
    effectual = work.macs * executed_density(work, description.zeros)
    index = np.where(
        effectual < work.macs, np.maximum(0.0, stored - work.weights * work.density * work.weight_bits), 0.0
    )
    touched = words_touched(work, description.zeros, description.buffer("inputs").word_bits)
    on_array = work.computes
    reads = {
        "weights": effectual * work.weight_bits + index * uses,
        "inputs": np.where(on_array, work.macs * touched * work.activation_bits, work.inputs * work.input_bits),
        "outputs": sums + spilled / 2,
    }
    kept = work.outputs * work.output_bits * (1 - work.output_off_chip)
    writes = {
        "weights": weights,
        "inputs": inputs * work.input_off_chip + kept,
        "outputs": sums + spilled / 2,
    }
    return reads, writes


def _buffer_pj(description: Description, reads: dict[str, Floats], writes: dict[str, Floats]) -> Floats:
    energy: Floats = np.zeros_like(reads["weights"])
    for operand, bits in reads.items():
        buffer = description.buffer(operand)
        energy = energy + bits * buffer.read_pj_per_bit + writes[operand] * buffer.write_pj_per_bit
    return energy


def _mac_pj(work: Work, description: Description, use: ArrayUse) -> Floats:
    """Array and vector unit: working units at full energy, waiting ones at the idle share, plus index decoding.

    A layer whose zeros are not worth skipping is charged as a dense one.
    """
    zeros = description.zeros
    skipping = executed_density(work, zeros) < 1
    decode = np.where(skipping, decode_energy_pj(work, zeros), 0.0)
    array = use.working * (description.mac.pj + decode) + use.waiting * description.mac.pj * zeros.idle
    array = np.minimum(array, use.dense * description.mac.pj)
    vector = np.where(work.computes, 0.0, _vector_operations(work)) * description.vector.pj
    return np.asarray(array + vector)


def _vector_operations(work: Work) -> Floats:
    """Additions or comparisons of pool and add."""
    return np.asarray(work.outputs * work.R * work.S)


def _vector_cycles(work: Work, description: Description) -> Floats:
    return np.where(work.computes, 0.0, np.ceil(_vector_operations(work) / description.vector.lanes))


def _fill_bits(work: Work, description: Description, stored: Floats, sums: Floats, traffic: Traffic) -> Floats:
    """Bits of the first tiles in and the last tile out, which no computation hides."""
    return 0.0 * sums


def _peak_bits(work: Work, traffic: Traffic) -> Floats:
    return 0.0 * work.K
