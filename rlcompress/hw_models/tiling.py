"""Traffic between DRAM and the buffers under the best of a few dozen tilings (equation 3).

The loop nest over tiles has three classes of loops: images and output pixels (x), input channels (c), output channels
(k). An operand is fetched again in every iteration of a loop outside the innermost loop that changes it. Which
operand stays decides the order, so three families of schedules cover the useful ones:

- weights stay: k, c outside, x inside; inputs are fetched once per k tile, partial sums once per c tile;
- outputs stay: x, k outside, c inside; weights are fetched once per x tile, inputs once per k tile;
- inputs stay: x, c outside, k inside; weights are fetched once per x tile, partial sums once per c tile.

Tiles are powers of two in k (or squares of powers of two in x); the remaining extents follow from the buffers, so
every candidate's traffic can only fall when a layer shrinks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlcompress.hw_models.work import Floats


@dataclass(frozen=True, slots=True)
class Extents:
    """A layer as the tiling sees it; arrays [N], or [N, 1] inside this module.

    Attributes:
        K: output channels.
        C: input channels.
        P: output rows of one image.
        Q: output columns.
        R: kernel rows.
        S: kernel columns.
        stride: of the window.
        images: in flight.
        weight_bits: stored bits of all weights.
        input_bits: stored bits of one image's input.
        output_bits: bits of one image's output as written once.
        sum_bits: bits of one image's output as partial sums.
        input_price: share of the input traffic that goes to DRAM.
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
    output_bits: Floats
    sum_bits: Floats
    input_price: Floats


@dataclass(frozen=True, slots=True)
class Traffic:
    """How often operands cross the DRAM boundary, for the whole batch, arrays [N].

    Attributes:
        weights: bits of weights fetched.
        inputs: bits of inputs fetched into the buffer, from DRAM or from where they stay on chip.
        sum_reads: how often the outputs come back as partial sums.
        schedule: name of the family chosen, as position in `SCHEDULES`.
        k_tile: output channels of a tile.
        c_tile: input channels of a tile.
        x_tile: edge of the square of output pixels of a tile.
    """

    weights: Floats
    inputs: Floats
    sum_reads: Floats
    schedule: NDArray[np.int64]
    k_tile: Floats
    c_tile: Floats
    x_tile: Floats


SCHEDULES = ("weights stay", "outputs stay", "inputs stay")
ON_CHIP_PRICE = 0.01
"""Price of a bit moved into a buffer relative to one moved from DRAM; settles what is otherwise a tie."""

_K_TILES: Floats = np.array([[2.0**i] for i in range(3, 13)])
_X_TILES: Floats = np.array([2.0**i for i in range(9)])
_X_TILES_INSIDE: Floats = np.array([4.0**i for i in range(5)])
_EVERY_K: Floats = np.repeat(_K_TILES.ravel(), len(_X_TILES_INSIDE))
_EVERY_X: Floats = np.tile(_X_TILES_INSIDE, len(_K_TILES))
_CHUNK = 256

Room = tuple[Floats, Floats, Floats]
Family = tuple[Floats, Floats, Floats, Floats, Floats, Floats]


def best_traffic(extents: Extents, room: Room) -> Traffic:
    """The schedule with the least DRAM traffic for each of N layers.

    Args:
        extents: the layers.
        room: bits that one tile of weights, inputs and outputs may take, arrays [N].
    """
    parts = []
    for start in range(0, len(extents.K), _CHUNK):
        rows = slice(start, start + _CHUNK)
        columns = Extents(**{name: getattr(extents, name)[rows, None] for name in Extents.__dataclass_fields__})
        parts.append(_best(columns, (room[0][rows, None], room[1][rows, None], room[2][rows, None])))
    return Traffic(*(np.concatenate([part[i] for part in parts]) for i in range(7)))


def _best(e: Extents, room: Room) -> tuple[Floats, ...]:
    families = [family(e, room) for family in (_weights_stay, _outputs_stay, _inputs_stay)]
    widths = [family[0].shape[1] for family in families]
    cost = np.concatenate([_price(e, family) for family in families], 1)
    pick = (np.arange(len(cost)), cost.argmin(axis=1))
    chosen = [np.concatenate([np.broadcast_to(f[i], f[0].shape) for f in families], 1)[pick] for i in range(6)]
    weights, inputs, spills, k, c, x = chosen
    return weights, inputs, spills, np.repeat(np.arange(3), widths)[pick[1]], k, c, x


def _price(e: Extents, family: Family) -> Floats:
    weights, inputs, spills = family[:3]
    return weights + inputs * (e.input_price + ON_CHIP_PRICE) + 2 * spills * e.sum_bits * e.images


def _tile_inputs(e: Extents, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Number of x tiles of one image, input pixels of one tile, input pixels of all tiles over those of the image."""
    p, q = np.minimum(x, e.P), np.minimum(x, e.Q)
    count = np.ceil(e.P / p) * np.ceil(e.Q / q)
    pixels = ((p - 1) * e.stride + e.R) * ((q - 1) * e.stride + e.S)
    return count, pixels, np.maximum(1.0, count * pixels / _image_pixels(e))


def _image_pixels(e: Extents) -> Floats:
    return np.asarray(((e.P - 1) * e.stride + e.R) * ((e.Q - 1) * e.stride + e.S))


def _weight(e: Extents) -> Floats:
    """Stored bits of the weights that connect one input channel with one output channel."""
    return np.asarray(e.weight_bits / (e.K * e.C))


def _pixel(e: Extents) -> Floats:
    """Stored bits of one input element."""
    return np.asarray(e.input_bits / (e.C * _image_pixels(e)))


def _partial(e: Extents) -> Floats:
    """Bits of one partial sum."""
    return np.asarray(e.sum_bits / (e.K * e.P * e.Q))


def _fitting(room: Floats, each: Floats, most: Floats) -> Floats:
    """Channels of ``each`` bits that fit, 1 to ``most``."""
    return np.clip(np.floor(np.round(room / np.maximum(each, 1e-12), 9)), 1.0, most)


def _tiles(count: Floats, tile: Floats) -> Floats:
    return np.asarray(np.ceil(count / tile))


def _area(e: Extents, x: Floats) -> Floats:
    return np.asarray(np.minimum(x, e.P) * np.minimum(x, e.Q))


def _weights_stay(e: Extents, room: Room) -> Family:
    k = np.minimum(_EVERY_K, e.K)
    x = _EVERY_X
    count, pixels, halo = _tile_inputs(e, x)
    c = np.minimum(_fitting(room[0], k * _weight(e), e.C), _fitting(room[1], pixels * _pixel(e), e.C))
    whole = e.input_bits * e.images
    inputs = whole * np.where(whole <= room[1], 1.0, _tiles(e.K, k) * halo)
    spills = np.where(count * e.images > 1, _tiles(e.C, c) - 1, 0.0)
    overflow = (k * _area(e, x) * _partial(e) > room[2]) & (x > 1)
    return np.where(overflow, np.inf, e.weight_bits), inputs, spills, k, c, np.broadcast_to(x, k.shape)


def _outputs_stay(e: Extents, room: Room) -> Family:
    x = _X_TILES
    count, pixels, halo = _tile_inputs(e, x)
    k = _fitting(room[2], _area(e, x) * _partial(e), e.K)
    c = np.minimum(_fitting(room[0], k * _weight(e), e.C), _fitting(room[1], pixels * _pixel(e), e.C))
    weights = e.weight_bits * np.where(e.weight_bits <= room[0], 1.0, count * e.images)
    held = pixels * _pixel(e) * e.C <= room[1]
    inputs = e.input_bits * e.images * halo * np.where(held, 1.0, _tiles(e.K, k))
    return weights, inputs, np.zeros_like(k), k, c, np.broadcast_to(x, k.shape)


def _inputs_stay(e: Extents, room: Room) -> Family:
    x = _X_TILES
    count, pixels, halo = _tile_inputs(e, x)
    c = _fitting(room[1], pixels * _pixel(e), e.C)
    k = np.minimum(_fitting(room[0], c * _weight(e), e.K), _fitting(room[2], _area(e, x) * _partial(e), e.K))
    weights = e.weight_bits * np.where(e.weight_bits <= room[0], 1.0, count * e.images)
    spills = np.where(e.K * _area(e, x) * _partial(e) <= room[2], 0.0, _tiles(e.C, c) - 1)
    return weights, e.input_bits * e.images * halo, spills, k, c, np.broadcast_to(x, k.shape)
