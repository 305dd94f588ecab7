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

from rlcompress.hw_models.tiles import Extents, Room, candidates, fetches, first_tiles, possible, whole
from rlcompress.hw_models.work import Floats


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


SCHEDULES = ("weights stay", "outputs stay", "inputs stay")
ON_CHIP_PRICE = 0.01
"""Price of a bit moved into a buffer relative to one moved from DRAM; settles what is otherwise a tie."""

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


def _best(e: Extents, room: Room, columns: int, dividing: bool) -> NDArray[np.float64]:
    """Columns of `Tiling` [9, N] for one way to share the buffers."""
    t = candidates(e, room, columns)
    weights, inputs, spills = fetches(e, t, room)
    allowed = possible(t, room)
    if dividing:
        allowed &= whole(e, t, columns)
        padding = np.tile(t.c_count * t.c / e.C, 3)
        weights, inputs = weights * padding, inputs * padding
    price = (
        e.weight_bits * weights * (e.weight_price + ON_CHIP_PRICE)
        + e.input_bits * e.images * inputs * (e.input_price + ON_CHIP_PRICE)
        + 2 * spills * e.sum_bits * e.images
    )
    price = np.where(np.tile(allowed, 3), price, np.inf)
    first = first_tiles(e, t, room)
    goal = price if e.slack_bits is None else _cycles_first(price, first, e.slack_bits * e.images)
    rows, pick = np.arange(len(price)), goal.argmin(axis=1)
    place = pick % t.c.shape[1]
    k, x = (np.broadcast_to(array, t.c.shape)[rows, place] for array in (t.k, np.maximum(t.p, t.q)))
    moved = (e.weight_bits[:, 0] * weights[rows, pick], (e.input_bits * e.images)[:, 0] * inputs[rows, pick])
    tile = (pick // t.c.shape[1], k, t.c[rows, place], x, first[rows, place])
    return np.stack([price[rows, pick], *moved, spills[rows, pick], *tile])


def _cycles_first(price: Floats, first: Floats, slack: Floats) -> Floats:
    """Time in bits of DRAM: what exceeds the array's time, and the first tiles; traffic settles ties."""
    fill = np.tile(first, price.shape[1] // first.shape[1])
    return np.asarray(np.maximum(slack, price - fill) + fill + 1e-9 * price)
