"""A table of measured costs as a CSV file.

It has the columns layer, weight_bits, activation_bits, keep_ratio, latency_ms, energy_uj, and granularity if it likes:
what the keep ratio is of, removed filters or channels where the cell is empty. For every layer and granularity its rows
are a full grid of widths and keep ratios, with the dense rows (keep ratio 1) for that of 1.
"""

import csv
import io
from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np

from rlcompress.errors import HardwareError
from rlcompress.hw_models.work import Floats
from rlcompress.spec import GRANULARITIES

COLUMNS = ("layer", "weight_bits", "activation_bits", "keep_ratio", "latency_ms", "energy_uj")
GRANULARITY = "granularity"
"""The column that a table may have as well."""

DENSE = "none"
"""The granularity of dense rows."""

_MOST = 1e12
_REMOVED = "filter"

Points = dict[tuple[float, float, float], tuple[float, float]]


class Grid(NamedTuple):
    """Measured costs of one layer at one granularity.

    Attributes:
        weight_bits: [W] distinct, ascending.
        activation_bits: [A] likewise.
        keep_ratios: [R] likewise, up to 1.
        costs: [2, W, A, R] in ms and uJ.
    """

    weight_bits: Floats
    activation_bits: Floats
    keep_ratios: Floats
    costs: Floats


Grids = Mapping[str, Grid]
"""Granularity -> grid of one layer; ``none`` has the dense rows alone, which every other has at keep ratio 1."""


def read_table(text: str, source: str) -> dict[str, Grids]:
    """Read a table of measured costs: layer -> granularity -> grid.

    Raises:
        HardwareError: a column or a grid point is missing or doubled, or a value is no number, width, keep ratio or
            granularity.
    """
    try:
        points = _points(text, source)
    except csv.Error as error:
        raise HardwareError(f"{source}: no table of comma-separated values ({error})") from None
    if not points:
        raise HardwareError(f"{source}: the table has no rows; add one for each layer and choice")
    return {
        layer: {
            granularity: _grid(f"{source}: layer {layer[:60]!r}", granularity, {**of[DENSE], **rows})
            for granularity, rows in of.items()
        }
        for layer, of in points.items()
    }


def _points(text: str, source: str) -> dict[str, dict[str, Points]]:
    """Latency and energy by layer, granularity and (weight bits, activation bits, keep ratio)."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise HardwareError(f"{source}: line 1: column {missing[0]!r} is missing; a table has {', '.join(COLUMNS)}")
    points: dict[str, dict[str, Points]] = {}
    for number, row in enumerate(rows, 2):
        try:
            values = [float(row[name]) for name in COLUMNS[1:]]
        except (TypeError, ValueError):
            raise HardwareError(
                f"{source}: line {number}: every column but layer and granularity needs a number"
            ) from None
        if not all(0 <= value <= _MOST for value in values):  # NaN is neither
            raise HardwareError(f"{source}: line {number}: numbers must be finite and not negative")
        point = (values[0], values[1], values[2])
        granularity = _granularity(row.get(GRANULARITY) or _REMOVED, values[2], f"{source}: line {number}")
        known = points.setdefault(str(row["layer"]), {DENSE: {}}).setdefault(granularity, {})
        if point in known:
            raise HardwareError(f"{source}: line {number}: the same layer and choice as before; keep one row of them")
        known[point] = (values[3], values[4])
    return points


def _granularity(name: str, keep_ratio: float, place: str) -> str:
    """What a row's cell stands for; dense rows are those of every granularity."""
    offered = [known for known in GRANULARITIES if known != DENSE]
    if name not in offered and (name, keep_ratio) != (DENSE, 1):
        raise HardwareError(
            f"{place}: {name[:60]!r} is no granularity of keep ratio {keep_ratio:g}; choose from {', '.join(offered)}"
        )
    return DENSE if keep_ratio == 1 else family(name)


def family(granularity: str) -> str:
    """The granularity that stands for one: channels and filters both leave dense, smaller layers."""
    return _REMOVED if granularity == "channel" else granularity


def _grid(place: str, granularity: str, points: Points) -> Grid:
    weights, activations, ratios = ({point[i] for point in points} for i in range(3))
    axes = [np.array(sorted(values)) for values in (weights, activations, ratios | {1.0})]
    gap = next((point for point in product(*(axis.tolist() for axis in axes)) if point not in points), None)
    if gap is not None:
        named = ", ".join(f"{name} {value:g}" for name, value in zip(COLUMNS[1:4], gap, strict=True))
        raise HardwareError(
            f"{place}: no row for {named}, granularity {granularity}; a layer's rows must form a full grid"
        )
    widths = np.concatenate(axes[:2])
    if np.any((widths % 1 != 0) | (widths < 1) | (widths > 64)):
        raise HardwareError(f"{place}: widths must be whole bits from 1 to 64")
    if not 0 < axes[2][0] <= axes[2][-1] <= 1:
        raise HardwareError(f"{place}: keep ratios must be above 0 and at most 1")
    costs = np.array([points[point] for point in sorted(points)]).T.reshape(2, *(len(axis) for axis in axes))
    return Grid(axes[0], axes[1], axes[2], costs)


def written_table(layers: Mapping[str, Grids]) -> str:
    """The CSV file that `read_table` reads the same grids from."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, GRANULARITY))
    for layer, grids in layers.items():
        for granularity, (*axes, costs) in grids.items():
            points = product(*(axis.tolist() for axis in axes))
            for point, pair in zip(points, costs.reshape(2, -1).T.tolist(), strict=True):
                if (granularity == DENSE) == (point[2] == 1):
                    writer.writerow([layer, *point, *pair, granularity])
    return text.getvalue()
