"""``rlcompress sweep``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from rlcompress.cli.console import stdout
from rlcompress.cli.invocation import resumable
from rlcompress.cli.options import Resume
from rlcompress.errors import RunError

if TYPE_CHECKING:
    from rlcompress.sweeps import Row


def sweep(
    file: Annotated[Path, typer.Argument(help="YAML file: networks, hardware, max_drops, evaluations, agents, seeds.")],
    out: Annotated[Path, typer.Option(help="New folder for the sweep.")] = Path("runs/sweep"),
    ray: Annotated[bool, typer.Option("--ray", help="Run on Ray, which the extra `ray` installs.")] = False,
    workers: Annotated[int, typer.Option(help="Searches at a time where Ray is started here.")] = 1,
    address: Annotated[str | None, typer.Option(help="Ray cluster to run on; it must see the same files.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Let the file name networks and data in code.")] = False,
    resume: Resume = False,
) -> None:
    """Search every combination of networks, hardware, budgets, agents and seeds in a file; one table at the end.

    rlcompress sweep sweep.yaml --out runs/sweep

    rlcompress sweep sweep.yaml --ray --workers 4

    The file:

    networks: [{network: cifar_resnet20, weights: FILE, data: "cifar10:DIR"}]

    hardware: \\[scalable_sparse_16x32, npu_int8]

    max_drops: [0.5, 1.0]

    seeds: [0, 1, 2]
    """
    from rlcompress.sweeps import read_sweep, run_sweep
    from rlcompress.sweeps.cluster import Cluster

    if workers < 1:
        raise RunError(f"workers must be at least 1, got {workers}")
    if (address or workers > 1) and not ray:
        raise RunError("--address and --workers are Ray's; add --ray, or leave them out")
    asked = read_sweep(file, trusted=trust)
    cluster = Cluster(address=address, workers=workers) if ray else None

    def on_row(row: "Row", known: int, total: int) -> None:
        found = f"failed: {row.error}" if row.error else f"saved {row.energy_saved_pct:.1f} %"
        typer.echo(f"{known}/{total} {row.id}: {found}", err=True)

    with resumable(out / "sweep.json"):
        rows = run_sweep(asked, out, resume=resume, cluster=cluster, on_row=on_row)
    stdout().print(_table(rows))
    typer.echo(f"table: {out / 'table.csv'}")


def _table(rows: Sequence["Row"]) -> Table:
    failed = sum(bool(row.error) for row in rows)
    title = f"{len(rows)} searches" + (f", {failed} without a result" if failed else "")
    table = Table(
        "network", "hardware", "agent", "seed", "allowed", "evaluations", "saved %", "lost, search", "lost, test",
        title=title,
    )  # fmt: skip
    for row in rows:
        head = (escape(row.network), escape(row.hardware), row.agent, str(row.seed), f"{row.max_drop:g}")
        if row.error:
            table.add_row(*head, "", escape(row.error[:60]))
        else:
            figures = (row.energy_saved_pct, row.drop_search, row.drop_test)
            table.add_row(*head, str(row.evaluations), *(f"{value:.2f}" for value in figures))
    return table
