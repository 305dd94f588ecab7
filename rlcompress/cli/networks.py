"""``rlcompress networks``."""

import typer
from rich.table import Table

from rlcompress.cli.console import stdout
from rlcompress.network.cards import CARDS

app = typer.Typer(help="The built-in networks.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """The built-in networks."""


@app.command("list")
def list_networks() -> None:
    """List the built-in networks."""
    table = Table("name", "input", "classes", "description", "source")
    for card in CARDS.values():
        shape = "x".join(map(str, card.input_shape))
        table.add_row(card.name, shape, str(card.classes or "image"), card.description, card.source)
    stdout().print(table)
