"""Cycles of systolic arrays, NVDLA, processors and EIE (equations 4, 7 and 11)."""

import numpy as np

from rlcompress.hw_models.arrays import AtomicArray, InterleavedArray, ScalarArray, SystolicArray
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.use import ArrayUse, plain_use, tiles
from rlcompress.hw_models.work import DEPTHWISE, LINEAR, Floats, Work
from rlcompress.hw_models.zeros import slowest

WINOGRAD_GAIN = 2.25
"""Multiplications of a direct 3x3 convolution over those of F(2x2, 3x3)."""


def systolic(work: Work, _: Description, array: SystolicArray) -> ArrayUse:
    """SCALE-Sim's stall-free cycles of the matrix product (P Q) x (R S C) x K, group by group."""
    rows, columns = array.rows, array.columns
    window, pixels = work.R * work.S * work.group_inputs, work.P * work.Q
    if array.dataflow == "ws":
        folds, each = tiles(window, rows), pixels + 2 * rows + columns - 2
    else:
        folds, each = tiles(pixels, rows), window + rows + columns - 2
    cycles = work.G * (folds * tiles(work.group_outputs, columns) * each - 1)
    return plain_use(cycles, work.macs, rows * columns)


def is_winograd(work: Work, array: AtomicArray) -> Floats:
    """1 where a layer runs as a Winograd convolution."""
    fits = (work.R == 3) & (work.S == 3) & (work.stride == 1) & (work.kind != DEPTHWISE)
    return np.asarray(fits & array.winograd, np.float64)


def atomic(work: Work, _: Description, array: AtomicArray) -> ArrayUse:
    """NVDLA: channels padded to atoms, the stride folded into channels, one atom operation a cycle."""
    stride = np.where((work.kind != LINEAR) & array.space_to_depth, work.stride, 1.0)
    atoms = tiles(work.group_inputs * stride**2, array.channel_atom) * array.channel_atom
    kernels = tiles(work.group_outputs, array.kernel_atom) * array.kernel_atom
    kernels = np.where(work.kind == LINEAR, work.group_outputs, kernels)
    rows = np.where(array.space_to_depth, tiles(work.H, stride), work.P)
    columns = np.where(array.space_to_depth, tiles(work.W, stride), work.Q)
    products = atoms * rows * columns * kernels * work.R * work.S / stride**2
    gain = np.where(is_winograd(work, array) > 0, WINOGRAD_GAIN, 1.0)
    return plain_use(work.G * products / array.macs / gain, work.macs, array.macs)


def scalar(work: Work, _: Description, array: ScalarArray) -> ArrayUse:
    """A processor: cycles for every multiply-accumulate, by class; sub-byte weights are unpacked first."""
    each = np.where(work.kind == DEPTHWISE, array.depthwise, np.where(work.kind == LINEAR, array.linear, array.conv))
    unpack = np.where(work.stored_width < 8, array.unpack, 0.0) * work.weights
    return plain_use(each * work.macs + unpack + array.fixed, work.macs, 1.0)


def interleaved(work: Work, description: Description, array: InterleavedArray) -> ArrayUse:
    """EIE: the entries of the slowest PE, padding entries among them, for the columns of nonzero inputs.

    PEs drift apart by up to the queue's columns; a random walk needs the square of that, so the slowest PE counts
    over windows of queue^2 columns.
    """
    rows = tiles(work.K, array.pes)
    entries = work.density * (1 + padding_share(work.density, rows, description.storage.run_bits))
    columns = work.group_inputs * work.R * work.S * work.P * work.Q * work.input_density
    window = np.minimum(array.queue**2, columns)
    slots = rows * window
    busiest = slowest(slots, np.minimum(entries, 1.0), array.pes)
    cycles = busiest * columns / np.maximum(window, 1e-9)
    useful = work.K / array.pes * entries * columns
    working = np.minimum(useful, cycles) * array.pes
    return ArrayUse(cycles, work.macs, working, cycles * array.pes - working, np.full_like(working, array.pes))


def padding_share(density: Floats, rows: Floats, run_bits: int) -> Floats:
    """Padding entries over nonzeros in a column of ``rows``: one for each full run of zeros before a nonzero."""
    run = 2.0**run_bits
    share = np.zeros_like(density)
    for j in range(1, 65):
        share = share + np.maximum(rows - run * j, 0.0) * (1 - density) ** (run * j)
    return np.asarray(share / rows)
