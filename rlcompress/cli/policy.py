"""``rlcompress policy``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from rlcompress.cli.console import stdout
from rlcompress.spec import CompressionPolicy, LayerChoice
from rlcompress.spec.changes import policy_changes

app = typer.Typer(help="Compression policies.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Compression policies."""


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(help="policy.json")],
    second: Annotated[Path, typer.Argument(help="another policy.json")],
) -> None:
    """Show the layers that two policies treat differently."""
    before, after = CompressionPolicy.load(first), CompressionPolicy.load(second)
    changes = policy_changes(before, after)
    for what, one, other in (
        ("network", before.network.name, after.network.name),
        ("structure", before.network.fingerprint, after.network.fingerprint),
        ("hardware", before.hardware, after.hardware),
        ("channels in multiples of", before.round_to, after.round_to),
    ):
        if one != other:
            typer.echo(f"{what}: {one} -> {other}")
    if changes:
        table = Table("layer", escape(str(first)), escape(str(second)))
        for change in changes:
            table.add_row(escape(change.name), _words(change.before, change.after), _words(change.after, change.before))
        stdout().print(table)
    total = len({*before.choices, *after.choices})
    typer.echo(f"{len(changes)} of {total} layers differ")


def _words(choice: LayerChoice | None, other: LayerChoice | None) -> str:
    """What a choice has that the other one has not."""
    if choice is None:
        return "no such layer"
    mine, theirs = choice.model_dump(), other.model_dump() if other else {}
    names = {"granularity": "", "keep_ratio": "keep ", "weight_bits": "W", "activation_bits": "A", "criterion": "by "}
    names["weight_quantizer"] = ""
    return " ".join(f"{names[key]}{value}" for key, value in mine.items() if theirs.get(key) != value)
