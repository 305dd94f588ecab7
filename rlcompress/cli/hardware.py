"""``rlcompress hardware``."""

from typing import Annotated

import typer
from rich.table import Table

from rlcompress import hw_models
from rlcompress.cli.console import stdout

app = typer.Typer(help="The accelerators that energy and latency are modelled for.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """The accelerators that energy and latency are modelled for."""


@app.command("list")
def list_hardware() -> None:
    """List the built-in accelerators."""
    table = Table("name", "confidence", "source")
    for name in hw_models.available():
        description = hw_models.load(name).description
        table.add_row(name, description.confidence, description.source)
    stdout().print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Built-in name or YAML or CSV file.")]) -> None:
    """Show an accelerator's description as YAML, or the table of measured costs that describes it."""
    typer.echo(hw_models.load(name).document[1], nl=False)


@app.command()
def check(file: Annotated[str, typer.Argument(help="YAML file, or CSV table of measured costs.")]) -> None:
    """Check a description of your own: name the key, the line and the mend."""
    model = hw_models.load(file)
    typer.echo(f"{file}: {model.name} is valid ({model.description.confidence})")
