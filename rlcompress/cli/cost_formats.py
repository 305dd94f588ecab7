"""The formats that ``energy`` writes costs in."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from rich.table import Table

from rlcompress.cli.console import stdout
from rlcompress.hw_models import LEVELS, HardwareModel, LayerCost, NetworkCost, to_timeloop
from rlcompress.spec import LayerChoice, LayerSpec

Choices = Mapping[str, LayerChoice]
Writer = Callable[[HardwareModel, Sequence[LayerSpec], Choices], str]


def as_table(model: HardwareModel, specs: Sequence[LayerSpec], choices: Choices) -> str:
    """Energy by level and cycles of every operator, for people."""
    text = io.StringIO()
    clustered = {name for name, choice in choices.items() if choice.weight_quantizer == "clustered"}
    stdout(text).print(_table(model.cost(specs, choices), model.description.confidence, clustered))
    return text.getvalue()


def as_json(model: HardwareModel, specs: Sequence[LayerSpec], choices: Choices) -> str:
    """Everything that the model says, as one JSON object."""
    cost = model.cost(specs, choices)
    keys = ("hardware", "energy_uj", "latency_ms", "cycles", "macs", "edp_js", "bops")
    head = {key: getattr(cost, key) for key in keys} | {"energy_unit": cost.unit}
    layers = [_values(layer) for layer in cost.layers]
    return json.dumps({**head, "energy_pj": cost.energy_pj, "layers": layers}, indent=1) + "\n"


def as_csv(model: HardwareModel, specs: Sequence[LayerSpec], choices: Choices) -> str:
    """A row an operator; figures by level or operand in columns such as ``energy_pj.DRAM``."""
    rows = [_flat(_values(layer)) for layer in model.cost(specs, choices).layers]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


FORMATS: dict[str, Writer] = {"table": as_table, "json": as_json, "csv": as_csv, "timeloop": to_timeloop}
"""Name on the command line -> writer."""


def _values(layer: LayerCost) -> dict[str, Any]:
    fields = {name: getattr(layer, name) for name in LayerCost.__dataclass_fields__}
    plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in fields.items()}
    return {**plain, "total_pj": layer.total_pj, "bound": layer.bound}


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            row |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            row[name] = "x".join(map(str, value)) if isinstance(value, tuple) else value
    return row


def _table(cost: NetworkCost, confidence: str, clustered: Set[str]) -> Table:
    levels = [level for level in LEVELS if cost.energy_pj.get(level, 0.0) > 0]
    title = f"{cost.hardware} ({confidence})"
    unit = cost.unit.replace("µ", "u")
    table = Table("layer", "bits w/a", "density", "MACs", "cycles", "bound", "util", *levels, unit, title=title)
    for layer in cost.layers:
        table.add_row(
            layer.name,
            f"{layer.weight_bits}{' clustered' if layer.name in clustered else ''}/{layer.activation_bits}",
            f"{layer.weight_density:.2f}",
            f"{layer.macs:,.0f}",
            f"{layer.cycles:,.0f}",
            layer.bound or "n/a",
            "n/a" if layer.utilisation is None else f"{layer.utilisation:.0%}",
            *(f"{layer.energy_pj[level] * 1e-6:.3f}" for level in levels),
            f"{layer.total_pj * 1e-6:.3f}",
        )
    table.add_section()
    totals = [f"{cost.energy_pj[level] * 1e-6:.3f}" for level in levels]
    cycles = (f"{cost.macs:,.0f}", f"{cost.cycles:,.0f}", f"{cost.latency_ms:.4f} ms")
    table.add_row("total", "", "", *cycles, "", *totals, f"{cost.energy_uj:.3f}")
    return table
