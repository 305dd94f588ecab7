"""Figures as `LayerCost` and `NetworkCost`."""

from collections.abc import Mapping, Sequence

from rlcompress.hw_models.cost import LayerCost, NetworkCost
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.figures import BOUNDS, LEVELS, Figures
from rlcompress.hw_models.tiling import SCHEDULES
from rlcompress.hw_models.work import Work
from rlcompress.spec import LayerChoice, LayerSpec


def network_cost(
    description: Description,
    specs: Sequence[LayerSpec],
    choices: Mapping[str, LayerChoice],
    work: Work,
    figures: Figures,
) -> NetworkCost:
    """The cost of one policy: work and figures hold one instance an operator."""
    rows = _Rows(work, figures)
    layers = tuple(_layer_cost(description, spec, choices.get(spec.name), rows, i) for i, spec in enumerate(specs))
    return NetworkCost(
        hardware=description.name,
        clock_mhz=description.clock_mhz,
        energy_unit=description.energy_unit,
        layers=layers,
    )


class _Rows:
    """Work and figures as lists, which are quicker to read one by one."""

    def __init__(self, work: Work, figures: Figures) -> None:
        self.energy = figures.energy_pj.T.tolist()
        self._columns = {name: getattr(figures, name).tolist() for name in Figures.__slots__ if name != "energy_pj"}
        names = ["K", "C", "P", "Q", "R", "S", "weight_bits", "activation_bits", "density", "input_density"]
        names += ["input_bits", "output_bits"]
        self._columns |= {name: getattr(work, name).tolist() for name in names}

    def __call__(self, name: str, i: int) -> float:
        value: float = self._columns[name][i]
        return value


def _layer_cost(
    description: Description, spec: LayerSpec, choice: LayerChoice | None, rows: _Rows, i: int
) -> LayerCost:
    """Row ``i`` as a cost."""
    weight_bits = choice.weight_bits if choice else int(rows("weight_bits", i))
    activation_bits = choice.activation_bits if choice else int(rows("activation_bits", i))
    return LayerCost(
        name=spec.name,
        kind=spec.kind,
        shape=tuple(int(rows(letter, i)) for letter in "KCPQRS"),
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        input_bits=int(rows("input_bits", i)),
        output_bits=int(rows("output_bits", i)),
        weight_density=rows("density", i),
        input_density=rows("input_density", i),
        energy_pj=dict(zip(LEVELS, rows.energy[i], strict=True)),
        cycles=rows("cycles", i),
        cycles_by_bound={bound: rows(f"{bound.lower()}_cycles", i) for bound in BOUNDS},
        latency_s=rows("cycles", i) * 1e-6 / description.clock_mhz,
        macs=rows("macs", i),
        effectual_macs=rows("effectual_macs", i),
        bops=rows("macs", i) * rows("density", i) * (choice.operand_bits if choice else weight_bits) * activation_bits,
        utilisation=rows("utilisation", i),
        traffic_bits={
            "DRAM weights": rows("dram_weights_bits", i),
            "DRAM inputs": rows("dram_inputs_bits", i),
            "DRAM outputs": rows("dram_outputs_bits", i),
            "GLB": rows("glb_bits", i),
        },
        stored_weight_bits=rows("stored_weight_bits", i),
        metadata_bits=rows("metadata_bits", i),
        buffered_bits=rows("buffered_bits", i),
        tiling=_tiling_in_words(rows, i),
        confidence=description.confidence,
    )


def _tiling_in_words(rows: _Rows, i: int) -> str:
    if rows("schedule", i) < 0:
        return ""
    tiles = f"K {rows('k_tile', i):.0f}, C {rows('c_tile', i):.0f}, pixels {rows('x_tile', i):.0f}^2"
    return f"{SCHEDULES[int(rows('schedule', i))]}; {tiles}"
