"""Traffic between DRAM and the buffers under the best of some hundred tilings (equation 3).

The loop nest over tiles has three classes of loops: images and output pixels (x), input channels (c), output channels
(k). An operand is fetched again in every iteration of a loop outside the innermost loop that changes it, unless all
of it fits its buffer. Which operand stays decides the order, so three schedules cover the useful ones:

- weights stay: k, c outside, x inside; inputs are fetched once per k tile, partial sums once per c tile;
- outputs stay: x, k outside, c inside; weights are fetched once per x tile, inputs once per k tile;
- inputs stay: x, c outside, k inside; weights are fetched once per x tile, partial sums once per c tile.

Tiles are powers of two in k and c (or all channels) and squares in x. A tile's k and x are enumerated and its c
follows from the buffers, so that no candidate's traffic rises when a layer shrinks.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from rlcompress.hw_models.work import Floats


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


@dataclass(frozen=True, slots=True)
class Tiling:
    """How often operands enter the buffers, for the whole batch, arrays [N].

    Attributes:
        price: DRAM bits, what was minimised.
        weights: bits of weights fetched.
        inputs: bits of inputs fetched, from DRAM or from where they stay on chip.
        spills: how often the outputs leave and come back as partial sums.
        schedule: position in `SCHEDULES`.
        k_tile: output channels of a tile.
        c_tile: input channels of a tile.
        x_tile: edge of the square of output pixels of a tile.
        tile_bits: bits of one tile of each operand, outputs in and out.
    """

    price: Floats
    weights: Floats
    inputs: Floats
    spills: Floats
    schedule: Floats
    k_tile: Floats
    c_tile: Floats
    x_tile: Floats
    tile_bits: Floats


Room = tuple[Floats, Floats, Floats]

SCHEDULES = ("weights stay", "outputs stay", "inputs stay")
ON_CHIP_PRICE = 0.01
"""Price of a bit moved into a buffer relative to one moved from DRAM; settles what is otherwise a tie."""

_EDGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 1e6)
_CHUNK = 256


def best_tiling(extents: Extents, rooms: list[Room], columns: int, *, dividing: bool = False) -> Tiling:
    """The schedule with the least DRAM traffic for each of N layers.

    Args:
        extents: the layers.
        rooms: ways to share the buffers: bits that one tile of weights, inputs and outputs may take, arrays [N].
        columns: output channels that the array works on at once; no tile has fewer, if the layer has them.
        dividing: leave out tiles of pixels that do not divide the output.
    """
    parts = []
    for start in range(0, len(extents.K), _CHUNK):
        rows = slice(start, start + _CHUNK)
        sliced = _slice(extents, rows)
        options = [_best(sliced, (w[rows, None], i[rows, None], o[rows, None]), columns, dividing) for w, i, o in rooms]
        parts.append(_cheapest(options))
    return Tiling(*(np.concatenate([part[i] for part in parts]) for i in range(9)))


def _slice(extents: Extents, rows: slice) -> Extents:
    """Rows of the extents as columns [n, 1]."""
    values = {field.name: getattr(extents, field.name) for field in fields(Extents)}
    return replace(extents, **{name: value[rows, None] for name, value in values.items() if value is not None})


def _cheapest(options: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    if len(options) == 1:
        return options[0]
    stacked = np.stack(options)
    pick = stacked[:, 0].argmin(axis=0)
    return np.asarray(stacked[pick, :, np.arange(stacked.shape[2])].T)


def _grid(e: Extents, columns: int) -> tuple[Floats, Floats, Floats]:
    """Candidates [1, n]: output channels, edge, images of a tile."""
    most = float(e.images.max())
    images = sorted({min(2.0**i, most) for i in range(12)})
    widest = float(e.K.max())
    channels = [columns * 2.0**i for i in range(7) if i == 0 or columns * 2.0 ** (i - 1) < widest]
    edges = [edge for i, edge in enumerate(_EDGES) if i == 0 or _EDGES[i - 1] < max(e.P.max(), e.Q.max())]
    grid = np.array([(k, x, b) for k in channels for x in edges for b in images])
    return grid[None, :, 0], grid[None, :, 1], grid[None, :, 2]


def _fitting(room: Floats, each: Floats, most: Floats) -> Floats:
    """Channels of ``each`` bits that fit: all of them, or a power of two."""
    count = np.maximum(1.0, np.round(room / np.maximum(each, 1e-12), 9))
    return np.where(count >= most, most, 2.0 ** np.floor(np.log2(count)))


def _best(e: Extents, room: Room, columns: int, dividing: bool) -> NDArray[np.float64]:
    k, x, b = _grid(e, columns)
    k = np.minimum(k, e.K)
    p, q = np.minimum(x, e.P), np.minimum(x, e.Q)
    count = np.ceil(e.P / p) * np.ceil(e.Q / q)
    pixels = ((p - 1) * e.stride + e.R) * ((q - 1) * e.stride + e.S)
    whole = ((e.P - 1) * e.stride + e.R) * ((e.Q - 1) * e.stride + e.S)
    halo = np.where(x >= 1e6, 1.0, np.maximum(np.where(e.stride > e.R, 0.0, 1.0), count * pixels / whole))
    tiles = count * np.ceil(e.images / b)
    weight, pixel = e.weight_bits / (e.K * e.C), e.input_bits / (e.C * whole)
    column = p * q * b * e.sum_bits / (e.K * e.P * e.Q)
    c = np.minimum(_fitting(room[0], k * weight, e.C), _fitting(room[1], pixels * b * pixel, e.C))
    k_tiles, c_tiles = np.ceil(e.K / k), np.ceil(e.C / c)
    impossible = (k * column > room[2]) & ((x > 1) | (b > 1))
    if dividing:
        impossible |= (p * np.ceil(e.P / p) != e.P) | (q * np.ceil(e.Q / q) != e.Q)
        groups = np.ceil(e.K / columns)
        impossible |= np.ceil(e.K / k) * np.ceil(k / columns) != groups
    inputs = e.input_bits * e.images
    weights_again = np.where(e.weight_bits <= room[0], 1.0, tiles)
    inputs_again = np.where(inputs <= room[1], 1.0, k_tiles * halo)
    tile_inputs_again = np.where(pixels * b * pixel * e.C <= room[1], 1.0, k_tiles) * halo
    ones = np.ones_like(c)
    schedules = (
        (ones, inputs_again, np.where(tiles > 1, c_tiles - 1, 0.0)),
        (weights_again, tile_inputs_again, 0 * ones),
        (weights_again, halo * ones, np.where(e.K * column <= room[2], 0.0, c_tiles - 1)),
    )
    padding = k * 0 + c_tiles * c / e.C if dividing else ones
    all_w, all_i = (np.concatenate([schedule[i] * padding for schedule in schedules], axis=1) for i in range(2))
    all_s = np.concatenate([schedule[2] for schedule in schedules], axis=1)
    price = (
        e.weight_bits * all_w * (e.weight_price + ON_CHIP_PRICE)
        + inputs * all_i * (e.input_price + ON_CHIP_PRICE)
        + 2 * all_s * e.sum_bits * e.images
    )
    price = np.where(np.tile(impossible, 3), np.inf, price)
    sums = e.sum_bits * e.images
    first = (
        np.where(e.weight_bits <= room[0], e.weight_bits, k * c * weight)
        + np.where(inputs <= room[1], inputs, pixels * b * c * pixel)
        + 2 * np.where(sums <= room[2], sums, k * column)
    )
    goal = price if e.slack_bits is None else _cycles_first(price, first, e.slack_bits * e.images)
    pick = goal.argmin(axis=1)
    rows, place = np.arange(len(price)), pick % c.shape[1]
    k, x = (np.broadcast_to(array, c.shape)[rows, place] for array in (k, np.maximum(p, q)))
    return np.stack(
        [
            price[rows, pick],
            e.weight_bits[:, 0] * all_w[rows, pick],
            inputs[:, 0] * all_i[rows, pick],
            all_s[rows, pick],
            pick // c.shape[1],
            k,
            c[rows, place],
            x,
            first[rows, place],
        ]
    )


def _cycles_first(price: Floats, first: Floats, slack: Floats) -> Floats:
    """Time in bits of DRAM: what exceeds the array's time, and the first tiles; traffic settles ties."""
    fill = np.tile(first, price.shape[1] // first.shape[1])
    return np.asarray(np.maximum(slack, price - fill) + fill + 1e-9 * price)
