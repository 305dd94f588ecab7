"""`TableModel`: a user's own measured costs, see `rlcompress.hw_models.table_file`.

Nothing is saved by what was not measured:

* a width costs what the next wider measured one does; above the widest one it is refused;
* keep ratios are interpolated linearly, and below the least measured one cost what that does;
* a granularity without rows costs what a dense layer does.

Operators without rows cost nothing. Measured energy has no parts; in arrays of policies, whose levels are those of all
accelerators, it stands whole under the last one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rlcompress.errors import HardwareError
from rlcompress.hw_models.cost import BatchCost, NetworkCost
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.figures import LEVELS, Figures
from rlcompress.hw_models.model import HardwareModel
from rlcompress.hw_models.network import Policy, PreparedNetwork, Rules, Specs, under
from rlcompress.hw_models.parts import Residency
from rlcompress.hw_models.report import network_cost
from rlcompress.hw_models.table_file import DENSE, Grid, Grids, family, written_table
from rlcompress.hw_models.work import Floats
from rlcompress.spec import GRANULARITIES, ChoiceBatch

WHOLE = "measured"
"""The only level of measured energy."""


class TableModel(HardwareModel):
    """Costs looked up in a table of measurements.

    Args:
        name: in reports and policies.
        layers: grids of every layer, as `read_table` gives them.
    """

    def __init__(self, name: str, layers: Mapping[str, Grids]) -> None:
        super().__init__(_description(name, layers))
        self._layers = dict(layers)

    def __reduce__(self) -> tuple[object, ...]:
        """Processes get the table."""
        return TableModel, (self.name, self._layers)

    @property
    def document(self) -> tuple[str, str]:
        """The table as a CSV file."""
        return "csv", written_table(self._layers)

    def least_keep_ratio(self, granularity: str) -> float:
        """The least keep ratio that any layer was measured with; 1 where the granularity has no rows."""
        name = family(granularity)
        return min((float(grids[name].keep_ratios[0]) for grids in self._layers.values() if name in grids), default=1.0)

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
        """What one inference under a policy costs, layer by layer: what was measured, and what follows from the shapes.

        Raises:
            HardwareError: the table has no rows for a layer, or none that are wide enough.
            PolicyError: a layer has no choice.
        """
        network, choices = under(self._known(specs).network, policy)
        batch = ChoiceBatch.of([choices], network.structure.layers)
        self._check_widths(network, batch)
        work = network.work(batch, Rules(Residency()))
        cycles, energy = np.zeros((2, len(network.specs)))
        measured = self._look_up(network.structure.layers, batch)[..., 0]
        cycles[network.structure.layer_index], energy[network.structure.layer_index] = measured
        zero = np.zeros_like(cycles)
        known = {
            "energy_pj": np.zeros((len(LEVELS), len(zero))),
            "cycles": cycles,
            "macs": work.macs,
            "effectual_macs": work.macs * work.density,
            "stored_weight_bits": work.weights * work.density * work.stored_width,
            "schedule": zero - 1,
        }
        figures = Figures(**{name: known.get(name, zero) for name in Figures.__slots__})
        cost = network_cost(self.description, network.specs, choices, work, figures)
        layers = (
            replace(layer, energy_pj={WHOLE: pj}, cycles_by_bound={}, traffic_bits={}, utilisation=None)
            for layer, pj in zip(cost.layers, energy.tolist(), strict=True)
        )
        return replace(cost, layers=tuple(layers))

    def costs(self, specs: Specs, batch: ChoiceBatch) -> BatchCost:
        """What B policies cost, as arrays.

        Raises:
            HardwareError: as `cost`.
        """
        network = self._known(specs).network
        self._check_widths(network, batch)
        cycles, energy = self._look_up(network.structure.layers, batch)
        shape = (len(network.specs), batch.shape[0])
        tables = {len(LEVELS): cycles, len(LEVELS) - 1: energy}

        def columns(i: int) -> Floats:
            full = np.zeros(shape)
            if i in tables:
                full[network.structure.layer_index] = tables[i]
            return full.T

        return BatchCost(energy.sum(axis=0), cycles.sum(axis=0) * self._seconds, columns)

    def _check_widths(self, network: PreparedNetwork, batch: ChoiceBatch) -> None:
        for j, layer in enumerate(network.structure.layers):
            dense = self._grids(layer)[DENSE]
            for key in ("weight_bits", "activation_bits"):
                wanted, most = getattr(batch, key)[:, j].max(initial=0), getattr(dense, key)[-1]
                if wanted > most:
                    raise HardwareError(
                        f"{self.name}: {key}: layer {layer!r} was measured up to {most:g}, {wanted} are asked for; "
                        "add rows to the table"
                    )
        if batch.weight_quantizer.any():
            self._check_indices(network, batch)

    def _grids(self, layer: str) -> Grids:
        if layer not in self._layers:
            raise HardwareError(f"{self.name}: layer {layer!r} has no rows; add them to the table")
        return self._layers[layer]

    def _look_up(self, layers: tuple[str, ...], batch: ChoiceBatch) -> Floats:
        """[2, L, B] cycles, and energy in pJ."""
        out = np.empty((2, len(layers), batch.shape[0]))
        for j, layer in enumerate(layers):
            grids = self._grids(layer)
            for number in np.unique(batch.granularity[:, j]):
                of = batch.granularity[:, j] == number
                choices = (batch.weight_bits[of, j], batch.activation_bits[of, j], batch.keep_ratio[of, j])
                out[:, j, of] = measured_costs(grids.get(family(GRANULARITIES[number]), grids[DENSE]), *choices)
        return out * np.array([1e-3 / self._seconds, 1e6])[:, None, None]


def measured_costs(
    grid: Grid, weight_bits: NDArray[np.int64], activation_bits: NDArray[np.int64], keep_ratio: Floats
) -> Floats:
    """[2, B] costs of B choices: widths are rounded up to measured ones, keep ratios lie between two or at an end.

    Args:
        grid: of the layer.
        weight_bits: [B], none beyond the widest measured.
        activation_bits: [B], likewise.
        keep_ratio: [B].
    """
    place = np.interp(keep_ratio, grid.keep_ratios, np.arange(len(grid.keep_ratios)))
    low, high = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
    weight = np.searchsorted(grid.weight_bits, weight_bits)
    rows = grid.costs[:, weight, np.searchsorted(grid.activation_bits, activation_bits)]
    each, share = np.arange(len(place)), place - low
    return np.asarray(rows[:, each, low] * (1 - share) + rows[:, each, high] * share)


def _description(name: str, layers: Mapping[str, Grids]) -> Description:
    """What reports say of a table; of the structure, that of a processor, nothing but the widths is used."""
    free = {"read_pj_per_bit": 0, "write_pj_per_bit": 0}
    dense = [grids[DENSE] for grids in layers.values()]
    return Description.model_validate(
        {
            "name": re.sub(r"[^a-z0-9_]+", "_", name.lower()) or "table",
            "title": "measured costs from a table",
            "source": "the user's table",
            "confidence": "measured",
            "clock_mhz": 1000,
            "bits": {
                "weight": _distinct(grid.weight_bits for grid in dense),
                "activation": _distinct(grid.activation_bits for grid in dense),
                "packed": False,
            },
            "array": {"type": "scalar", "conv": 1, "depthwise": 1, "linear": 1},
            "mac": {"type": "measured", "pj": 0},
            "buffers": [{**free, "name": "none", "holds": ["weights", "inputs", "outputs"], "kb": 1}],
            "dram": {"pj_per_bit": 0, "bits_per_cycle": 1},
            "vector": {"lanes": 1},
        }
    )


def _distinct(axes: Iterable[Floats]) -> list[int]:
    return sorted({int(width) for axis in axes for width in axis})
