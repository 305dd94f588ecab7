"""`TableModel`: a user's own measured costs, read from a CSV table and interpolated.

The table has the columns layer, weight_bits, activation_bits, keep_ratio, latency_ms, energy_uj, and for every layer a
full grid of its distinct widths and keep ratios. Between grid points costs are interpolated linearly in each of the
three, and beyond its ends continued linearly (never below zero). Operators without rows cost nothing. Measured energy
has no parts: it is reported whole, as static energy.
"""

import csv
import io
import re
from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rlcompress.errors import HardwareError
from rlcompress.hw_models.cost import BatchCost, NetworkCost
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.figures import LEVELS, Figures
from rlcompress.hw_models.model import HardwareModel
from rlcompress.hw_models.network import Policy, Rules, Specs, prepare, under
from rlcompress.hw_models.parts import Residency
from rlcompress.hw_models.report import network_cost
from rlcompress.hw_models.work import Floats
from rlcompress.spec import ChoiceBatch

COLUMNS = ("layer", "weight_bits", "activation_bits", "keep_ratio", "latency_ms", "energy_uj")

_MOST = 1e12

Points = dict[tuple[float, float, float], tuple[float, float]]
Axes = tuple[Floats, Floats, Floats]
Grid = tuple[Axes, Floats]
"""Distinct weight bits, activation bits and keep ratios; costs [2, W, A, R] in ms and uJ."""


class TableModel(HardwareModel):
    """Costs looked up in a table of measurements."""

    def __init__(self, name: str, grids: Mapping[str, Grid]) -> None:
        super().__init__(_description(name))
        self._grids = dict(grids)

    def __reduce__(self) -> tuple[object, ...]:
        """Processes get the table."""
        return TableModel, (self.name, self._grids)

    @property
    def document(self) -> tuple[str, str]:
        """The table as a CSV file."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for layer, (axes, costs) in self._grids.items():
            points = product(*(axis.tolist() for axis in axes))
            writer.writerows(
                [layer, *point, *pair] for point, pair in zip(points, costs.reshape(2, -1).T.tolist(), strict=True)
            )
        return "csv", text.getvalue()

    def parallel(self, accelerators: int) -> HardwareModel:
        """A table holds what one accelerator was measured to cost.

        Raises:
            HardwareError: always, but for one accelerator.
        """
        if accelerators == 1:
            return self
        raise HardwareError(
            f"{self.name}: a table of measured costs is of one accelerator; measure {accelerators} anew"
        )

    def with_batch(self, images: int) -> HardwareModel:
        """A table holds what one image was measured to cost.

        Raises:
            HardwareError: always, but for one image.
        """
        if images == 1:
            return self
        raise HardwareError(f"{self.name}: a table of measured costs is of one image at a time; measure {images} anew")

    def cost(self, specs: Specs, policy: Policy) -> NetworkCost:
        """What one inference under a policy costs, layer by layer.

        Raises:
            HardwareError: the table has no rows for a layer.
            PolicyError: a layer has no choice.
        """
        network, choices = under(prepare(specs), policy)
        batch = ChoiceBatch.of([choices], network.structure.layers)
        self._check_widths(network, batch)
        cycles, energy = (table[:, 0] for table in self._look_up(network.structure.layers, batch))
        work = network.work(batch, Rules(Residency()))
        zero = np.zeros(len(network.specs))
        figures = Figures(**{name: zero for name in Figures.__slots__ if name != "energy_pj"}, energy_pj=zero)
        rows = network.structure.layer_index
        values = {"cycles": zero.copy(), "energy_pj": np.zeros((len(LEVELS), len(zero)))}
        values["cycles"][rows] = cycles
        values["energy_pj"][-1, rows] = energy
        whole = {name: values.get(name, getattr(figures, name)) for name in Figures.__slots__}
        whole |= {"compute_cycles": values["cycles"], "macs": work.macs, "effectual_macs": work.macs * work.density}
        whole["stored_weight_bits"] = work.weights * work.density * work.stored_width
        whole["schedule"] = zero - 1
        return network_cost(self.description, network.specs, choices, work, Figures(**whole))

    def costs(self, specs: Specs, batch: ChoiceBatch) -> BatchCost:
        """What B policies cost, as arrays.

        Raises:
            HardwareError: the table has no rows for a layer.
        """
        network = prepare(specs)
        self._check_widths(network, batch)
        cycles, energy = self._look_up(network.structure.layers, batch)
        shape = (len(network.specs), batch.shape[0])
        tables = {len(LEVELS): cycles, len(LEVELS) - 1: energy}

        def columns(i: int) -> Floats:
            full = np.zeros(shape)
            if i in tables:
                full[network.structure.layer_index] = tables[i]
            return full.T

        return BatchCost(energy.sum(axis=0), cycles.sum(axis=0) * 1e-6 / self.description.clock_mhz, columns)

    def _look_up(self, layers: tuple[str, ...], batch: ChoiceBatch) -> tuple[Floats, Floats]:
        """[L, B] cycles and energy in pJ."""
        out = np.empty((2, len(layers), batch.shape[0]))
        for j, layer in enumerate(layers):
            if layer not in self._grids:
                raise HardwareError(f"{self.name}: layer {layer!r} has no rows; add them to the table")
            point = np.stack([batch.weight_bits[:, j], batch.activation_bits[:, j], batch.keep_ratio[:, j]], axis=1)
            out[:, j] = interpolate(self._grids[layer], point)
        return out[0] * 1e3 * self.description.clock_mhz, out[1] * 1e6


def interpolate(grid: Grid, points: Floats) -> Floats:
    """[2, B] costs at ``points`` [B, 3], linear in each axis and never below zero."""
    axes, costs = grid
    value = np.broadcast_to(costs[..., None], (*costs.shape, len(points)))
    for axis, place in zip(reversed(axes), reversed(points.T), strict=True):
        low, share = _bracket(axis, place)
        high = np.minimum(low + 1, len(axis) - 1)
        rows = np.arange(len(points))
        value = value[..., low, rows] * (1 - share) + value[..., high, rows] * share
    return np.asarray(np.maximum(value, 0.0))


def _bracket(axis: Floats, place: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Index of the cell that ``place`` is in, and how far in; beyond the ends the share leaves 0 to 1."""
    if len(axis) == 1:
        return np.zeros(len(place), np.int64), np.zeros(len(place))
    low = np.clip(np.searchsorted(axis, place, "right") - 1, 0, len(axis) - 2)
    return low, (place - axis[low]) / (axis[low + 1] - axis[low])


def read_table(text: str, source: str) -> dict[str, Grid]:
    """Read a table of measured costs.

    Raises:
        HardwareError: a column or a grid point is missing or doubled, or a value is no number.
    """
    try:
        points = _points(text, source)
    except csv.Error as error:
        raise HardwareError(f"{source}: no table of comma-separated values ({error})") from None
    if not points:
        raise HardwareError(f"{source}: the table has no rows; add one for each layer and choice")
    return {layer: _grid(layer, found, source) for layer, found in points.items()}


def _points(text: str, source: str) -> dict[str, Points]:
    """Latency and energy by layer and by (weight bits, activation bits, keep ratio)."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise HardwareError(f"{source}: line 1: column {missing[0]!r} is missing; a table has {', '.join(COLUMNS)}")
    points: dict[str, Points] = {}
    for number, row in enumerate(rows, 2):
        try:
            values = [float(row[name]) for name in COLUMNS[1:]]
        except (TypeError, ValueError):
            raise HardwareError(f"{source}: line {number}: every column but layer needs a number") from None
        if not all(0 <= value <= _MOST for value in values):  # NaN is neither
            raise HardwareError(f"{source}: line {number}: numbers must be finite and not negative")
        known, point = points.setdefault(str(row["layer"]), {}), (values[0], values[1], values[2])
        if point in known:
            raise HardwareError(f"{source}: line {number}: the same layer and choice as before; keep one row of them")
        known[point] = (values[3], values[4])
    return points


def _grid(layer: str, points: Points, source: str) -> Grid:
    axes = tuple(np.array(sorted({point[i] for point in points})) for i in range(3))
    grid = product(*(axis.tolist() for axis in axes))
    gap = next((point for point in grid if point not in points), None)
    if gap is not None:
        named = ", ".join(f"{name} {value:g}" for name, value in zip(COLUMNS[1:4], gap, strict=True))
        raise HardwareError(f"{source}: layer {layer[:60]!r}: no row for {named}; a layer's rows must form a full grid")
    costs = np.array([points[point] for point in sorted(points)]).T.reshape(2, *(len(axis) for axis in axes))
    return (axes[0], axes[1], axes[2]), costs


def _description(name: str) -> Description:
    """What reports say of a table; the structure is that of a processor and is not used."""
    free = {"read_pj_per_bit": 0, "write_pj_per_bit": 0}
    return Description.model_validate(
        {
            "name": re.sub(r"[^a-z0-9_]+", "_", name.lower()) or "table",
            "title": "measured costs from a table",
            "source": "the user's table",
            "confidence": "measured",
            "clock_mhz": 1000,
            "bits": {"weight": [16], "activation": [16]},
            "array": {"type": "scalar", "conv": 1, "depthwise": 1, "linear": 1},
            "mac": {"type": "measured", "pj": 0},
            "buffers": [{**free, "name": "none", "holds": ["weights", "inputs", "outputs"], "kb": 1}],
            "dram": {"pj_per_bit": 0, "bits_per_cycle": 1},
            "vector": {"lanes": 1},
        }
    )
