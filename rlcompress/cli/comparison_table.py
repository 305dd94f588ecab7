"""The tables that a comparison ends with."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table


def comparison_table(rows: Sequence[dict[str, Any]], title: str, energy_unit: str) -> Table:
    """Methods at the allowed drop of a title, most saved first: mean +- standard deviation over the seeds."""
    table = Table(
        "agent", f"energy {energy_unit}", "saved %", "lost, search", "lost, test", "hypervolume", "evaluations",
        "seconds", "found", title=title,
    )  # fmt: skip
    for row in sorted(rows, key=lambda row: -(row["saved_pct"] or 0.0)):
        table.add_row(
            row["agent"],
            _cell(row, "energy_uj", 2),
            _cell(row, "saved_pct", 1),
            _cell(row, "drop_search", 2),
            _cell(row, "drop_test", 2),
            _cell(row, "hypervolume", 4),
            _cell(row, "evaluations", 0),
            _cell(row, "seconds", 1),
            f"{row['found']} of {row['seeds']}",
        )
    return table


def _cell(row: dict[str, Any], name: str, digits: int) -> str:
    mean, std = row[name], row[f"{name}_std"]
    if mean is None:
        return "-"
    spread = f"{std or 0.0:.{digits}f}"
    return f"{mean:.{digits}f}" + (f" ± {spread}" if float(spread) else "")
