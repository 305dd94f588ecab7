"""Traffic between DRAM and the chip, by the way operands are kept (equations 2, 3 and 10)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rlcompress.hw_models.array_fixed import is_winograd
from rlcompress.hw_models.array_rows import refetches
from rlcompress.hw_models.array_spatial import lowered
from rlcompress.hw_models.arrays import AtomicArray, RowStationaryArray, SpatialArray
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.tiles import Extents, Room
from rlcompress.hw_models.tiling import best_tiling
from rlcompress.hw_models.use import tiles
from rlcompress.hw_models.work import DEPTHWISE, KILOBYTE_BITS, LINEAR, MATMUL, Bools, Floats, Work

_SHARES = ((0.6, 0.2, 0.2), (0.2, 0.6, 0.2), (0.1, 0.1, 0.8))
"""Ways to divide a shared buffer among weights, inputs and outputs."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What moves between DRAM and buffers for one image, in bits, arrays [N].

    Attributes:
        weights: into the buffer.
        inputs: into the buffer, from DRAM or from where they stay on chip.
        outputs: final outputs out of the buffer.
        sums_in: partial sums that come back.
        sums_out: partial sums that leave.
        fill: first tiles in, which nothing hides.
        schedule: position in `tiling.SCHEDULES`, -1 where no tiling applies.
        k_tile: output channels of a tile.
        c_tile: input channels of a tile.
        x_tile: edge of a tile of output pixels.
    """

    weights: Floats
    inputs: Floats
    outputs: Floats
    sums_in: Floats
    sums_out: Floats
    fill: Floats
    schedule: Floats
    k_tile: Floats
    c_tile: Floats
    x_tile: Floats


@dataclass(frozen=True, slots=True)
class Stored:
    """Stored bits of one image's operands, arrays [N]: weights, inputs, outputs, and outputs as partial sums."""

    weights: Floats
    inputs: Floats
    outputs: Floats
    sums: Floats


def stored_operands(work: Work, description: Description, weights: Floats) -> Stored:
    """What the operands of every operator take in DRAM."""
    sums = work.outputs * description.bits.partial_sum
    if description.traffic.dividing:
        sums = sums * np.where(work.computes, whole_tiles(work, description) / work.K, 1.0)
    if description.storage.activations == "run-length":
        inputs = work.padded_inputs * np.minimum(work.input_bits, work.input_density * 64 / 3)
        outputs = work.outputs * np.minimum(work.output_bits, work.output_density * 64 / 3)
    else:
        inputs, outputs = _touched_inputs(work, description) * work.input_bits, work.outputs * work.output_bits
    array = description.array
    if isinstance(array, AtomicArray):
        weights, inputs = _atomic_operands(work, array, weights)
    weights = weights + channel_bits(work, description)
    return Stored(weights, inputs, sums if description.writeback == "partial sums" else outputs, sums)


def channel_bits(work: Work, description: Description) -> Floats:
    """Scales and biases of a layer's output channels."""
    holds = work.computes & (work.kind != MATMUL)
    return np.where(holds, work.K * description.storage.channel_bits, 0.0)


def whole_tiles(work: Work, description: Description) -> Floats:
    """Output channels padded to whole columns of the array, where a layer has no groups."""
    columns = getattr(description.array, "columns", 1)
    alone = (work.G > 1) | (work.kind == DEPTHWISE)
    return np.where(alone, work.K, tiles(work.K, columns) * columns)


def _expanded(work: Work, description: Description) -> Bools:
    """Where the first layer's windows are written out in DRAM (im2col)."""
    array = description.array
    if not isinstance(array, SpatialArray) or array.im2col == "never":
        return np.zeros_like(work.first)
    return lowered(work, array) & work.first & work.computes


def _touched_inputs(work: Work, description: Description) -> Floats:
    """Input elements of one image that are fetched once."""
    halo = ((work.P - 1) * work.stride + work.R) * ((work.Q - 1) * work.stride + work.S)
    pixels = np.where(
        _expanded(work, description), work.P * work.Q * work.R * work.S, np.minimum(halo, work.H * work.W)
    )
    return np.where(work.computes, work.C * pixels, work.inputs)


def _atomic_operands(work: Work, array: AtomicArray, weights: Floats) -> tuple[Floats, Floats]:
    """NVDLA: channels and, in strided layers, pixels padded to atoms; Winograd weights are stored transformed."""
    stride = np.where((work.kind != LINEAR) & array.space_to_depth, work.stride, 1.0)
    inputs_each = tiles(work.group_inputs * stride**2, 4.0) * 4.0
    weights_each = tiles(work.group_inputs * stride**2, array.channel_atom) * array.channel_atom
    window = tiles(work.R, stride) * tiles(work.S, stride)
    padded = work.K * weights_each * window / np.maximum(work.weights, 1.0)
    growth = np.where(is_winograd(work, array) > 0, 16 / 9, padded)
    dense = np.where(work.computes, work.G * inputs_each * tiles(work.H, stride) * tiles(work.W, stride), work.inputs)
    return weights * growth, dense * work.input_bits


def _once(work: Work, description: Description, stored: Stored, cycles: Floats) -> Moves:
    """Every operand crosses once; weights once a batch."""
    zero = np.zeros_like(work.K)
    return Moves(
        weights=stored.weights / description.batch,
        inputs=stored.inputs,
        outputs=stored.outputs,
        sums_in=zero,
        sums_out=zero,
        fill=zero,
        schedule=zero - 1,
        k_tile=zero,
        c_tile=zero,
        x_tile=zero,
    )


def _whole(work: Work, description: Description, stored: Stored, cycles: Floats) -> Moves:
    """Slices of one operand, of half the buffer, stay while the other streams past each; whichever moves less.

    Images come one by one; only linear layers share their weights over a batch.
    """
    size = description.buffer("weights").kb * KILOBYTE_BITS
    fits = stored.weights + stored.inputs <= size
    weight_slices = np.where(fits, 1.0, np.maximum(1.0, tiles(stored.weights, size / 2)))
    input_slices = np.where(fits, 1.0, np.maximum(1.0, tiles(stored.inputs, size / 2)))
    keep_weights = stored.inputs * (weight_slices - 1) <= stored.weights * (input_slices - 1)
    sharing = np.where(work.kind == LINEAR, float(description.batch), 1.0)
    weights = stored.weights * np.where(keep_weights, 1.0, input_slices) / sharing
    inputs = stored.inputs * np.where(keep_weights, weight_slices, 1.0)
    return replace(_once(work, description, stored, cycles), weights=weights, inputs=inputs)


def _mapped(work: Work, description: Description, stored: Stored, cycles: Floats) -> Moves:
    """Eyeriss: weights come again for each group of images and rows, inputs for each group of output channels."""
    once, array = _once(work, description, stored, cycles), description.array
    if not isinstance(array, RowStationaryArray):
        return once
    weights_again, inputs_again = refetches(work, array, description.batch)
    return replace(
        once,
        weights=once.weights * np.where(work.computes, weights_again, 1.0),
        inputs=once.inputs * np.where(work.computes, inputs_again, 1.0),
    )


def _tiled(work: Work, description: Description, stored: Stored, cycles: Floats) -> Moves:
    """The best tiling of every layer; groups come one after the other, each with its own channels."""
    groups = np.where(work.computes, work.G, 1.0)
    images, computes = description.batch, work.computes
    cycles_first = description.traffic.goal == "cycles"
    initial = np.where(computes & (description.writeback == "partial sums"), stored.sums, 0.0)
    extents = _extents(work, description, stored, groups)
    if cycles_first:
        slack = cycles * description.dram.bits_per_cycle - stored.outputs - initial
        extents = replace(extents, slack_bits=slack / groups)
    rooms = _rooms(description, np.ones_like(groups))
    columns = getattr(description.array, "columns", 16)
    best = best_tiling(extents, rooms, columns, dividing=description.traffic.dividing)
    fill = best.tile_bits if cycles_first else _first_tiles(stored, rooms)
    return Moves(
        weights=best.weights * groups / images,
        inputs=best.inputs * groups / images,
        outputs=stored.outputs,
        sums_in=initial + best.spills * stored.sums,
        sums_out=best.spills * stored.sums,
        fill=np.where(computes, fill / images, 0.0),
        schedule=np.where(computes, best.schedule, -1.0),
        k_tile=best.k_tile,
        c_tile=best.c_tile,
        x_tile=best.x_tile,
    )


def _extents(work: Work, description: Description, stored: Stored, groups: Floats) -> Extents:
    """One group of every layer as the tiling sees it; pool and add as one channel."""
    one = np.ones_like(groups)
    flat = _expanded(work, description) | ~work.computes
    return Extents(
        K=np.where(work.computes, work.group_outputs, one),
        C=np.where(work.computes, work.group_inputs, one),
        P=work.P,
        Q=work.Q,
        R=np.where(flat, one, work.R),
        S=np.where(flat, one, work.S),
        stride=np.where(flat, one, work.stride),
        images=one * description.batch,
        weight_bits=stored.weights / groups,
        input_bits=stored.inputs / groups,
        sum_bits=stored.sums / groups,
        input_price=work.input_off_chip,
        weight_price=work.weights_off_chip,
    )


def _first_tiles(stored: Stored, rooms: list[Room]) -> Floats:
    """Weights and inputs that must be there before the array can start: all, or what fits."""
    weight_room, input_room, _ = rooms[0]
    return np.asarray(np.minimum(stored.weights, weight_room) + np.minimum(stored.inputs, input_room))


def _rooms(description: Description, one: Floats) -> list[Room]:
    """Bits for a tile of weights, inputs and outputs; all are double-buffered, but outputs in a shared buffer."""
    if len(description.buffers) == 1:
        size = description.buffers[0].kb * KILOBYTE_BITS
        return [(one * size * w / 2, one * size * i / 2, one * size * o) for w, i, o in _SHARES]
    sizes = [description.buffer(operand).kb * KILOBYTE_BITS / 2 for operand in ("weights", "inputs", "outputs")]
    shared = [len(description.buffer(operand).holds) for operand in ("weights", "inputs", "outputs")]
    w, i, o = (one * size / count for size, count in zip(sizes, shared, strict=True))
    return [(w, i, o)]


POLICIES: dict[str, Callable[[Work, Description, Stored, Floats], Moves]] = {
    "tiled": _tiled,
    "whole": _whole,
    "mapped": _mapped,
    "once": _once,
}


def moves(work: Work, description: Description, stored: Stored, cycles: Floats) -> Moves:
    """What moves between DRAM and the buffers while the array works for ``cycles``."""
    return POLICIES[description.traffic.type](work, description, stored, cycles)
