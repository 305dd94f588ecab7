"""Tiles of a layer: candidates, and how often each schedule fetches the operands (see `tiling`)."""

from dataclasses import dataclass

import numpy as np

from rlcompress.hw_models.work import Bools, Floats


@dataclass(frozen=True, slots=True)
class Extents:
    """A layer as the tiling sees it; arrays [N], or [N, 1] inside this module.

    Attributes:
        K: output channels.
        C: input channels of a group.
        P: output rows of one image.
        Q: output columns.
        R: kernel rows.
        S: kernel columns.
        stride: of the window.
        images: in flight.
        weight_bits: stored bits of all weights.
        input_bits: stored bits of one image's input.
        sum_bits: bits of one image's output as partial sums.
        input_price: share of the input traffic that goes to DRAM.
        weight_price: share of the weight traffic that goes to DRAM.
        slack_bits: what DRAM could move for one image while the array computes, less the outputs that move in any
            case; where it is given, schedules are chosen for the fewest cycles first (Bit Fusion's compiler), else
            for the least traffic.
    """

    K: Floats
    C: Floats
    P: Floats
    Q: Floats
    R: Floats
    S: Floats
    stride: Floats
    images: Floats
    weight_bits: Floats
    input_bits: Floats
    sum_bits: Floats
    input_price: Floats
    weight_price: Floats
    slack_bits: Floats | None = None


Room = tuple[Floats, Floats, Floats]
"""Bits that one tile of weights, inputs and outputs may take, [N, 1]."""

_EDGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 1e6)


@dataclass(frozen=True, slots=True)
class Tiles:
    """Candidates [N, n].

    Attributes:
        k: output channels.
        c: input channels.
        p: output rows.
        q: output columns.
        b: images.
        k_count: tiles of output channels.
        c_count: tiles of input channels.
        x_count: tiles of pixels and images.
        halo: input pixels of all tiles over those of the image.
        weight_bits: of a tile.
        input_bits: of a tile.
        column_bits: partial sums of a tile, of one output channel.
        all_input_bits: of a tile with all input channels.
    """

    k: Floats
    c: Floats
    p: Floats
    q: Floats
    b: Floats
    k_count: Floats
    c_count: Floats
    x_count: Floats
    halo: Floats
    weight_bits: Floats
    input_bits: Floats
    column_bits: Floats
    all_input_bits: Floats


def candidates(e: Extents, room: Room, columns: int) -> Tiles:
    """Tiles with k and the pixels enumerated; c is what fits, all channels or a power of two."""
    k, x, b = _grid(e, columns)
    k, p, q = np.minimum(k, e.K), np.minimum(x, e.P), np.minimum(x, e.Q)
    count = np.ceil(e.P / p) * np.ceil(e.Q / q)
    pixels, whole = _input_pixels(e, p, q), _input_pixels(e, e.P, e.Q)
    halo = np.maximum(np.where(e.stride > e.R, 0.0, 1.0), count * pixels / whole)
    weight, each = e.weight_bits / (e.K * e.C), pixels * b * e.input_bits / (e.C * whole)
    c = np.minimum(_fitting(room[0], k * weight, e.C), _fitting(room[1], each, e.C))
    return Tiles(
        k=k,
        c=c,
        p=p,
        q=q,
        b=b,
        k_count=np.ceil(e.K / k),
        c_count=np.ceil(e.C / c),
        x_count=count * np.ceil(e.images / b),
        halo=halo,
        weight_bits=k * c * weight,
        input_bits=c * each,
        column_bits=p * q * b * e.sum_bits / (e.K * e.P * e.Q),
        all_input_bits=e.C * each,
    )


def _grid(e: Extents, columns: int) -> tuple[Floats, Floats, Floats]:
    """Output channels, edge and images of a tile, each [1, n]."""
    most, widest, longest = (float(size.max()) for size in (e.images, e.K, np.maximum(e.P, e.Q)))
    images = sorted({min(2.0**i, most) for i in range(12)})
    channels = [columns * 2.0**i for i in range(7) if i == 0 or columns * 2.0 ** (i - 1) < widest]
    edges = [edge for i, edge in enumerate(_EDGES) if i == 0 or _EDGES[i - 1] < longest]
    grid = np.array([(k, x, b) for k in channels for x in edges for b in images])
    return grid[None, :, 0], grid[None, :, 1], grid[None, :, 2]


def _input_pixels(e: Extents, p: Floats, q: Floats) -> Floats:
    """Input pixels under p x q output pixels."""
    return np.asarray(((p - 1) * e.stride + e.R) * ((q - 1) * e.stride + e.S))


def _fitting(room: Floats, each: Floats, most: Floats) -> Floats:
    count = np.maximum(1.0, np.round(room / np.maximum(each, 1e-12), 9))
    return np.where(count >= most, most, 2.0 ** np.floor(np.log2(count)))


def possible(t: Tiles, room: Room) -> Bools:
    """Where the outputs of a tile fit; the smallest tile always counts as fitting."""
    smallest = (t.p * t.q <= 1) & (t.b <= 1)
    return np.asarray((t.k * t.column_bits <= room[2]) | smallest)


def whole(e: Extents, t: Tiles, columns: int) -> Bools:
    """Where tiles divide the pixels, and the output channels in units of the array's columns."""
    rows = t.p * np.ceil(e.P / t.p) == e.P
    groups = t.k_count * np.ceil(t.k / columns) == np.ceil(e.K / columns)
    return np.asarray(rows & (t.q * np.ceil(e.Q / t.q) == e.Q) & groups)


def fetches(e: Extents, t: Tiles, room: Room) -> tuple[Floats, Floats, Floats]:
    """How often weights and inputs are fetched and partial sums spilled, each [N, 3 n] by schedule."""
    once = np.ones_like(t.c)
    weights = np.where(e.weight_bits <= room[0], 1.0, t.x_count)
    inputs = np.where(e.input_bits * e.images <= room[1], 1.0, t.k_count * t.halo)
    tile_inputs = np.where(t.all_input_bits <= room[1], 1.0, t.k_count) * t.halo
    spills = np.where(t.x_count > 1, t.c_count - 1, 0.0)
    outer_spills = np.where(e.K * t.column_bits <= room[2], 0.0, t.c_count - 1)
    return (
        np.concatenate([once, weights, weights], axis=1),
        np.concatenate([inputs, tile_inputs, t.halo * once], axis=1),
        np.concatenate([spills, 0 * once, outer_spills], axis=1),
    )


def first_tiles(e: Extents, t: Tiles, room: Room) -> Floats:
    """Bits of the first tile of every operand, or of all of an operand that fits; outputs in and out."""
    inputs, sums = e.input_bits * e.images, e.sum_bits * e.images
    weights = np.where(e.weight_bits <= room[0], e.weight_bits, t.weight_bits)
    outputs = np.where(sums <= room[2], sums, t.k * t.column_bits)
    return np.asarray(weights + np.where(inputs <= room[1], inputs, t.input_bits) + 2 * outputs)
