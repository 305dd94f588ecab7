"""The tables that a comparison ends with."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table


def comparison_table(rows: Sequence[dict[str, Any]], goal: float) -> Table:
    """Methods at one allowed drop, most saved first: mean +- standard deviation over the seeds."""
    table = Table(
        "agent", "energy uJ", "saved %", "lost, search", "lost, test", "hypervolume", "evaluations", "seconds", "found",
        title=f"at most {goal:g} points lost",
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
            _cell(row, "seconds", 0),
            f"{row['found']} of {row['seeds']}",
        )
    return table


def _cell(row: dict[str, Any], name: str, digits: int) -> str:
    mean, std = row[name], row[f"{name}_std"]
    if mean is None:
        return "-"
    return f"{mean:.{digits}f}" + (f" ± {std:.{digits}f}" if std else "")
