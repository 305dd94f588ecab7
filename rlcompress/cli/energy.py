"""``rlcompress energy``."""

import csv
import io
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from rlcompress.cli.console import stdout
from rlcompress.cli.options import Hardware, Network, Policy
from rlcompress.errors import RunError
from rlcompress.hw_models import NetworkCost
from rlcompress.spec import CompressionPolicy, LayerChoice


def energy(
    network: Network,
    hardware: Hardware = "scalable_sparse_16x32",
    input_shape: Annotated[str | None, typer.Option(help="C,H,W in place of the network's own.")] = None,
    policy: Policy = None,
    bits: Annotated[int, typer.Option(help="Bits of every layer where no policy is given.")] = 8,
    format: Annotated[str, typer.Option(help="table, json or csv.")] = "table",  # noqa: A002  # the option's name
    out: Annotated[Path | None, typer.Option(help="File to write to, in place of the terminal.")] = None,
) -> None:
    """Model energy and latency of a network, dense or under a policy; needs no weights.

    rlcompress energy --network cifar_resnet20 --hardware scalable_sparse_16x32
    """
    from rlcompress.cli.cost_table import layer_costs
    from rlcompress.cli.specs import network_specs
    from rlcompress.hw_models import load

    formats = {"table": None, "json": _json, "csv": _csv}
    if format not in formats:
        raise RunError(f"unknown format {format!r}; choose from {', '.join(formats)}")
    model = load(hardware)
    specs = network_specs(network, input_shape)
    if policy is not None:
        chosen = CompressionPolicy.load(policy)
        chosen.check_fits(specs)
        choices = chosen.choices
    else:
        choice = LayerChoice(weight_bits=bits, activation_bits=bits)
        choices = {spec.name: choice for spec in specs if spec.compressible}
    cost = model.cost(specs, choices)
    write = formats[format]
    if write is not None:
        text = write(cost)
        typer.echo(text, nl=False) if out is None else out.write_text(text)
        return
    if out is None:
        stdout().print(layer_costs(cost))
        return
    with out.open("w") as file:
        stdout(file).print(layer_costs(cost))


def _rows(cost: NetworkCost) -> list[dict[str, Any]]:
    rows = []
    for layer in cost.layers:
        row = {key: dict(value) if hasattr(value, "items") else value for key, value in _fields(layer).items()}
        rows.append({**row, "total_pj": layer.total_pj, "bound": layer.bound})
    return rows


def _fields(layer: Any) -> dict[str, Any]:
    """A dataclass's fields as they are."""
    return {name: getattr(layer, name) for name in layer.__dataclass_fields__}


def _json(cost: NetworkCost) -> str:
    keys = ("hardware", "energy_uj", "latency_ms", "cycles", "macs", "edp_js", "bops")
    head = {key: getattr(cost, key) for key in keys}
    return json.dumps({**head, "energy_pj": cost.energy_pj, "layers": _rows(cost)}, indent=1) + "\n"


def _csv(cost: NetworkCost) -> str:
    flat = []
    for row in _rows(cost):
        nested = {
            f"{key}.{inner}": v for key, value in row.items() if isinstance(value, dict) for inner, v in value.items()
        }
        plain = {key: value for key, value in row.items() if not isinstance(value, dict)}
        flat.append({**plain, "shape": "x".join(map(str, row["shape"])), **nested})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()
