"""The ``rlcompress`` command: its sub-commands, and what happens on wrong input and on Ctrl-C."""

import sys
from typing import Annotated

import typer
from rich.console import Console

import rlcompress
from rlcompress.cli import demo, energy, evaluate, hardware, networks, search
from rlcompress.errors import RlcompressError

app = typer.Typer(
    name="rlcompress",
    help="Prune and quantize a trained CNN for a given accelerator, layer by layer, without retraining.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("search")(search.search)
app.command("energy")(energy.energy)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(networks.app, name="networks")
app.add_typer(hardware.app, name="hardware")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rlcompress {rlcompress.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Run the command line. Exit status: 0 done, 2 wrong input, 130 interrupted."""
    try:
        app()
    except RlcompressError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
