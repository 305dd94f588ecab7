"""The table that a search ends with."""

import json
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from rlcompress.cli.console import stdout
from rlcompress.searches.result import SearchResult
from rlcompress.searches.summary import summary_of


def show_result(result: SearchResult, out: Path, *, quiet: bool, as_json: bool) -> None:
    """Print what a search found: a table and where its files are, result.json's content, or nothing."""
    if as_json:
        typer.echo(json.dumps({**result.as_json(), "run": str(out)}))
    elif not quiet:
        stdout().print(summary(result))
        for name in result.policies:
            typer.echo(f"policy: {out / name}")
        typer.echo(f"report: {out / 'report.html'}")


def summary(result: SearchResult) -> Table:
    """Baselines against the best policy."""
    cells = summary_of(result)
    table = Table(*cells.header, title=cells.title, caption=cells.caption, box=SIMPLE_HEAD, pad_edge=False)
    for row in cells.rows:
        table.add_row(*row)
    return table
