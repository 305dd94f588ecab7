"""Cycles of Arm Ethos-U (equation 4), in the structure of Vela's performance estimate."""

import numpy as np

from rlcompress.hw_models.arrays import MicroblockArray
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.use import ArrayUse, plain_use, tiles
from rlcompress.hw_models.work import DEPTHWISE, LINEAR, Floats, Work

SUBKERNEL = 8
"""A kernel runs in parts of at most 8 x 8 positions."""

SCALE_CYCLES = 2.5
"""Cycles to fetch scale and bias of one output channel: 10 bytes at a flash latency of 64 cycles per 256 bits."""

_GRID = np.array([(d, w, h) for d in (8, 16, 32, 64, 128) for w in (2, 4, 8, 16, 32, 64) for h in (1, 2, 4, 8, 16, 32)])


def microblock(work: Work, _: Description, array: MicroblockArray) -> ArrayUse:
    """Blocks of output elements are computed and drained in turn; the block with the fewest fetches is chosen.

    A micro-block takes 4 cycles for 32 input channels of one kernel position (depth first), or for 8 input channels
    of four positions (part of the kernel first), whichever is faster; a depthwise layer takes four positions.
    """
    grid = _GRID[(_GRID[:, 1] >= array.width) & (_GRID[:, 2] >= array.height)].astype(np.float64)
    groups = np.where(work.kind == DEPTHWISE, 1.0, work.G)
    K, P, Q, C = (value[:, None] for value in (tiles(work.K, groups), work.P, work.Q, work.group_inputs))
    depth = np.minimum(grid[:, 0], tiles(K, array.depth) * array.depth)
    width = np.minimum(grid[:, 1], tiles(Q, array.width) * array.width)
    height = np.minimum(grid[:, 2], tiles(P, array.height) * array.height)
    blocks = tiles(Q, width) * tiles(P, height) * tiles(K, depth)
    depthwise = (work.kind == DEPTHWISE)[:, None]
    w, h, d = np.minimum(width, Q), np.minimum(height, P), np.minimum(depth, K)
    pixels = ((w - 1) * work.stride[:, None] + work.S[:, None]) * ((h - 1) * work.stride[:, None] + work.R[:, None])
    channels = np.where(depthwise, d, C)
    fetches = blocks * (pixels * channels + d * (work.R * work.S)[:, None] * np.where(depthwise, 1.0, C))
    fetches = np.where(width * height * depth > array.block, np.inf, fetches)
    across = tiles(w, array.width) * tiles(h, array.height)
    flat = (work.P == 1) & (work.Q % 2 == 0) & (work.R == 1) & (array.height == 2)
    across = np.where(flat[:, None], tiles(w, 4.0), across)
    steps = tiles(d, array.depth) * np.maximum(4.0 * array.depth, 4 * across)
    compute = steps * _kernel_steps(work)[:, None]
    moved = (pixels * np.minimum(channels, 32) + w * h * d) / array.bytes_per_cycle
    cycles = _pipeline(compute, np.maximum(array.drain * w * h * d, SCALE_CYCLES * d), array.latency + moved, blocks)
    pick = np.lexsort((cycles, fetches), axis=1)[:, :1]
    chosen = np.take_along_axis(np.broadcast_to(cycles, fetches.shape), pick, axis=1)[:, 0]
    return plain_use(chosen * groups, work.macs, array.width * array.height * array.depth * 8.0)


def _kernel_steps(work: Work) -> Floats:
    """Steps of 4 cycles that one micro-block column takes for the window and the input channels."""
    depth_first, kernel_first, depthwise = np.zeros_like(work.K), np.zeros_like(work.K), np.zeros_like(work.K)
    for i in range(int(np.ceil(work.R.max() / SUBKERNEL))):
        for j in range(int(np.ceil(work.S.max() / SUBKERNEL))):
            part = np.clip(work.R - SUBKERNEL * i, 0, SUBKERNEL) * np.clip(work.S - SUBKERNEL * j, 0, SUBKERNEL)
            depth_first += part * tiles(work.group_inputs, 32)
            kernel_first += tiles(part, 4) * tiles(work.group_inputs, 8)
            depthwise += tiles(part, 4)
    dense = np.where(work.kind == LINEAR, depth_first, np.minimum(depth_first, kernel_first))
    return np.where(work.kind == DEPTHWISE, depthwise, dense)


def _pipeline(compute: Floats, drain: Floats, memory: Floats, blocks: Floats) -> Floats:
    """The slower of computing and draining for every block, the other once; a quarter of all of them is the least."""
    command = (memory + drain + compute) / 4
    compute, drain = np.maximum(compute, command), np.maximum(drain, command)
    return np.asarray(np.maximum(compute, drain) * blocks + np.minimum(compute, drain))
