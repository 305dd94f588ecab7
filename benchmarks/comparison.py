"""Tables and a picture of comparisons, for a page.

    python -m benchmarks.comparison RUN ... --out docs/methods.svg

A RUN is what `rlcompress compare` left. Prints a table of each, Markdown, means over the seeds with their standard
deviations, and draws what is saved against what is lost on test images, a panel a RUN.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Row = dict[str, str]

_COLUMNS = {
    "saved_pct": ("saved, %", 1),
    "drop_search": ("lost on search", 2),
    "drop_test": ("lost on test", 2),
    "hypervolume": ("hypervolume", 3),
    "evaluations": ("evaluations", 0),
    "seconds": ("seconds", 0),
}
_MARKERS = "osD^vP*Xdh"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    arguments = parser.parse_args()
    tables = {run.name: read_table(run / "table.csv") for run in arguments.runs}
    for name, rows in tables.items():
        print(f"{name}\n\n{markdown(rows)}\n")
    with mpl.rc_context({"font.size": 8, "svg.hashsalt": "rlcompress"}):
        picture(tables).savefig(arguments.out, metadata={"Date": None})


def read_table(path: Path) -> list[Row]:
    """The rows of a comparison's table.csv."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def markdown(rows: Sequence[Row]) -> str:
    """A row a method and allowed drop."""
    titles = ["allowed", "method", "seeds", *(title for title, _ in _COLUMNS.values())]
    lines = [titles, ["---"] * len(titles)]
    for row in rows:
        figures = [_figure(row, name, digits) for name, (_, digits) in _COLUMNS.items()]
        lines.append([f"{float(row['max_drop']):g}", row["agent"], f"{row['found']} of {row['seeds']}", *figures])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(row: Row, name: str, digits: int) -> str:
    if not row[name]:
        return "none"
    spread = f" ({float(row[f'{name}_std']):.{digits}f})" if row[f"{name}_std"] else ""
    return f"{float(row[name]):.{digits}f}{spread}"


def picture(tables: dict[str, list[Row]]) -> Figure:
    """What is saved against what is lost on test images, with standard deviations over seeds."""
    figure = Figure(figsize=(4.2 * len(tables) + 1.2, 3.8), layout="constrained")
    methods = list(dict.fromkeys(row["agent"] for rows in tables.values() for row in rows))
    for axes, (name, rows) in zip(figure.subplots(1, len(tables), squeeze=False)[0], tables.items(), strict=True):
        for number, method in enumerate(methods):
            style = {"color": colormaps["tab10"](number), "marker": _MARKERS[number % len(_MARKERS)], "label": method}
            own = [row for row in rows if row["agent"] == method and row["saved_pct"]]
            _draw(axes, sorted(own, key=lambda row: float(row["max_drop"])), style)
        axes.set(title=name, xlabel="points lost on test images", ylabel="energy saved, %")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure


def _draw(axes: Axes, rows: Sequence[Row], style: dict[str, object]) -> None:
    values = {
        name: [float(row[name] or 0.0) for row in rows]
        for name in ("drop_test", "saved_pct", "drop_test_std", "saved_pct_std")
    }
    axes.errorbar(
        values["drop_test"], values["saved_pct"], values["saved_pct_std"], values["drop_test_std"],
        ls=":", capsize=2, ms=4, lw=0.8, **style,
    )  # fmt: skip


if __name__ == "__main__":
    main()
