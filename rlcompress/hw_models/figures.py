"""`Figures`: what the accelerator spends on N operator instances, as one table."""

from dataclasses import dataclass

from rlcompress.hw_models.work import Floats

LEVELS = ("MAC", "RF", "NoC", "GLB", "DRAM", "static")
"""Where energy goes: multiply-accumulates, register files, network on chip, buffers, DRAM, static power."""

BOUNDS = ("compute", "GLB", "DRAM")
"""What can bound the cycles."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Arrays [N], for one image; energy [6, N] in pJ by `LEVELS`.

    Attributes:
        energy_pj: [6, N] by `LEVELS`.
        cycles: from first fill to last drain.
        compute_cycles: of the array without stalls.
        glb_cycles: that the buffer ports need.
        dram_cycles: that DRAM needs.
        macs: multiply-accumulates of the remaining shape, zeros included.
        effectual_macs: those whose weight is not zero.
        utilisation: of the array in its compute cycles.
        dram_weights_bits: read.
        dram_inputs_bits: read.
        dram_outputs_bits: written, and read back as partial sums.
        glb_bits: through the ports of all buffers.
        stored_weight_bits: of the weights as they are stored, indices included.
        metadata_bits: share of the stored weights that is indices.
        buffered_bits: peak use of the buffers.
        schedule: position in `tiling.SCHEDULES`, -1 where no tiling applies.
        k_tile: output channels of a tile.
        c_tile: input channels of a tile.
        x_tile: edge of a tile of output pixels.
    """

    energy_pj: Floats
    cycles: Floats
    compute_cycles: Floats
    glb_cycles: Floats
    dram_cycles: Floats
    macs: Floats
    effectual_macs: Floats
    utilisation: Floats
    dram_weights_bits: Floats
    dram_inputs_bits: Floats
    dram_outputs_bits: Floats
    glb_bits: Floats
    stored_weight_bits: Floats
    metadata_bits: Floats
    buffered_bits: Floats
    schedule: Floats
    k_tile: Floats
    c_tile: Floats
    x_tile: Floats
