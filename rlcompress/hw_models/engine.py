"""Figures of operator instances on a described accelerator: the equations put together."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from rlcompress.hw_models import array_fixed
from rlcompress.hw_models.array_microblock import microblock
from rlcompress.hw_models.array_rows import row_stationary
from rlcompress.hw_models.array_spatial import spatial
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.energy import Accesses, accesses, buffer_pj, mac_pj, vector_operations
from rlcompress.hw_models.figures import Figures
from rlcompress.hw_models.partition import share
from rlcompress.hw_models.storage import weight_bits
from rlcompress.hw_models.traffic import Moves, Stored, moves, stored_operands
from rlcompress.hw_models.use import ArrayUse
from rlcompress.hw_models.work import KILOBYTE_BITS, POOL, Floats, Work

_DRAM_BITS = ("dram_weights_bits", "dram_inputs_bits", "dram_outputs_bits")
SUMMED = (*_DRAM_BITS, "energy_pj", "macs", "effectual_macs", "glb_bits", "stored_weight_bits", "metadata_bits")
"""Figures that add up over accelerators."""

ARRAYS: dict[str, Callable[[Work, Description, Any], ArrayUse]] = {
    "spatial": spatial,
    "systolic": array_fixed.systolic,
    "atomic": array_fixed.atomic,
    "row-stationary": row_stationary,
    "microblock": microblock,
    "scalar": array_fixed.scalar,
    "interleaved": array_fixed.interleaved,
}


def evaluate(work: Work, description: Description) -> Figures:
    """Energy, cycles and traffic of N operator instances, for one image each."""
    if description.accelerators == 1:
        return evaluate_one(work, description)
    return evaluate_partitioned(work, description)


def evaluate_one(work: Work, description: Description) -> Figures:
    """Figures on one accelerator."""
    weights, metadata = weight_bits(work, description)
    use = _passes(work, description, ARRAYS[description.array.type](work, description, description.array))
    stored = stored_operands(work, description, weights)
    moved = moves(work, description, stored, use.cycles)
    used = accesses(work, description, stored, moved)
    dram = (
        moved.weights * work.weights_off_chip,
        moved.inputs * work.input_off_chip,
        moved.outputs * work.output_off_chip + moved.sums_in + moved.sums_out,
    )
    dram_bits = dram[0] + dram[1] + dram[2]
    compute = np.where(work.computes, use.cycles, _vector_cycles(work, description))
    if description.vector.join_lanes is not None:
        compute = compute + np.where(work.joins, work.inputs / description.vector.join_lanes, 0.0)
    glb, dram_cycles = _buffer_cycles(description, used), dram_bits / description.dram.bits_per_cycle
    busy = (dram_bits + work.hidden_bits) / description.dram.bits_per_cycle
    cycles = _cycles(description, compute, glb, busy, moved.fill / description.dram.bits_per_cycle)
    cycles = np.where(work.hidden, 0.0, cycles)
    return Figures(
        energy_pj=_energy(work, description, use, used, dram_bits, cycles),
        cycles=cycles,
        compute_cycles=compute,
        glb_cycles=glb,
        dram_cycles=dram_cycles,
        macs=work.macs,
        effectual_macs=np.ceil(np.round(work.macs * work.density * _input_share(work, description), 6)),
        utilisation=np.where(work.computes, work.macs * work.density / np.maximum(use.cycles * use.peak, 1.0), 0.0),
        dram_weights_bits=dram[0],
        dram_inputs_bits=dram[1],
        dram_outputs_bits=dram[2],
        glb_bits=used.total,
        stored_weight_bits=weights,
        metadata_bits=metadata,
        buffered_bits=_peak_bits(description, stored, moved),
        schedule=moved.schedule,
        k_tile=moved.k_tile,
        c_tile=moved.c_tile,
        x_tile=moved.x_tile,
    )


def _passes(work: Work, description: Description, use: ArrayUse) -> ArrayUse:
    """Operands wider than the array's are split, and every pair of parts takes a pass."""
    native = description.bits.native
    factor = np.ceil(work.weight_bits / native) * np.ceil(work.activation_bits / native)
    if factor.max() <= 1:
        return use
    return ArrayUse(
        use.cycles * factor, use.dense * factor, use.working * factor, use.waiting * factor, use.peak / factor
    )


def _vector_cycles(work: Work, description: Description) -> Floats:
    """Cycles of pool and add."""
    unit = description.vector
    lanes = np.where(work.kind == POOL, unit.pool_lanes or unit.lanes, unit.lanes)
    return np.asarray(np.ceil(vector_operations(work) / lanes))


def evaluate_partitioned(work: Work, description: Description) -> Figures:
    """Figures of accelerators that work on every layer together and share one DRAM."""
    part, count = share(work, description.accelerators)
    bandwidth = description.dram.bits_per_cycle / description.accelerators
    dram = description.dram.model_copy(update={"bits_per_cycle": bandwidth})
    one = evaluate_one(part, description.model_copy(update={"dram": dram}))
    return replace(one, **{name: getattr(one, name) * count for name in SUMMED})


def _input_share(work: Work, description: Description) -> Floats:
    return work.input_density if description.zeros.skips_inputs else np.ones_like(work.density)


def _buffer_cycles(description: Description, used: Accesses) -> Floats:
    """Cycles that the busiest buffer's ports need."""
    cycles: Floats = np.zeros_like(used.reads["weights"])
    for buffer in description.buffers:
        if buffer.bits_per_cycle is not None:
            bits = sum(used.reads[operand] + used.writes[operand] for operand in buffer.holds)
            cycles = np.maximum(cycles, bits / buffer.bits_per_cycle)
    return cycles


def _cycles(description: Description, compute: Floats, glb: Floats, dram: Floats, fill: Floats) -> Floats:
    """The slowest of the three under double buffering, after the first fill; their sum without overlap (equation 5)."""
    if not description.overlap:
        return np.maximum(compute, glb) + dram
    return np.maximum(np.maximum(compute, glb), dram - fill) + fill


def _energy(work: Work, description: Description, use: ArrayUse, used: Accesses, *rest: Floats) -> Floats:
    """[6, N] energy by level."""
    dram_bits, cycles = rest
    registers = use.working * description.registers.accesses_per_mac * description.registers.pj
    delivered = used.reads["weights"] + used.reads["inputs"]
    return np.stack(
        [
            mac_pj(work, description, use),
            np.where(work.computes, registers, 0.0),
            np.where(work.computes, delivered * description.network.pj_per_bit, 0.0),
            buffer_pj(description, used),
            dram_bits * description.dram.pj_per_bit,
            description.static.mw * 1e3 / description.clock_mhz * cycles,
        ]
    )


def _peak_bits(description: Description, stored: Stored, moved: Moves) -> Floats:
    """Bits in the buffers at most: what the operands take, up to the buffers' size."""
    room = sum(buffer.kb for buffer in description.buffers) * KILOBYTE_BITS
    return np.asarray(np.minimum(stored.weights + stored.inputs + np.maximum(stored.outputs, moved.sums_out), room))
