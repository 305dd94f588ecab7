"""``rlcompress report``."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several are compared on one page.")],
    out: Annotated[Path | None, typer.Option(help="HTML file; report.html in the first folder by default.")] = None,
) -> None:
    """Write report.html again from run folders alone; a search may still be running.

    rlcompress report runs/demo
    """
    from rlcompress.report import write_report

    typer.echo(f"report: {write_report(runs, out)}")
