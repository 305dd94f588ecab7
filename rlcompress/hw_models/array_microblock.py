"""Cycles of Arm Ethos-U (equation 4), in the structure of Vela's performance estimate."""

import numpy as np

from rlcompress.hw_models.description import Description
from rlcompress.hw_models.parts import MicroblockArray
from rlcompress.hw_models.use import ArrayUse, plain_use, tiles
from rlcompress.hw_models.work import DEPTHWISE, Floats, Work


def microblock(work: Work, _: Description, array: MicroblockArray) -> ArrayUse:
    """Blocks of output elements are computed and drained in turn.

    A micro-block takes 4 cycles for 32 input channels of one kernel position (depth first), or for 8 input channels
    of four positions (part of the kernel first), whichever is faster; a depthwise layer takes four positions.
    """
    flat = (work.P == 1) & (work.Q % 2 == 0) & (work.R == 1) & (array.height == 2)
    across = np.where(flat, tiles(work.Q, 4.0), tiles(work.Q, array.width) * tiles(work.P, array.height))
    deep = tiles(work.K, array.depth)
    window = work.R * work.S
    depth_first = window * tiles(work.group_inputs, 32)
    kernel_first = tiles(window, 4) * tiles(work.group_inputs, 8)
    steps = np.where(work.kind == DEPTHWISE, tiles(window, 4), np.minimum(depth_first, kernel_first))
    blocks = np.maximum(1.0, tiles(work.outputs, array.block))
    cycles_block = np.maximum(array.step, 4 * across / np.maximum(1.0, np.floor(blocks))) * 1.0
    cycles_block = np.maximum(array.step * deep, 4 * across * deep / blocks) * steps
    drain = array.drain * work.outputs / blocks
    cycles = np.maximum(cycles_block, drain) * blocks + np.maximum(drain, (cycles_block + drain) / 4) + array.fixed
    return plain_use(cycles, work.macs, array.width * array.height * array.depth * 8.0)


def output_cycles(work: Work, array: MicroblockArray) -> Floats:
    """Cycles of the output unit alone."""
    return np.asarray(work.outputs * array.drain)
