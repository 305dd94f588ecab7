"""Energy against what is lost on test images, a picture an accelerator."""

from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results.plan import METHODS
from benchmarks.results.rows import Row
from benchmarks.results.subjects import NETWORKS

_MARKERS = dict(zip(METHODS, "oxsd", strict=False))
_COLOURS = colormaps["tab20"]


def picture(rows: Sequence[Row]) -> Figure:
    """Policies of classifiers: points lost against percent of the dense 8-bit energy, means over seeds.

    Args:
        rows: of one accelerator and one tier of repair.
    """
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    names = [name for name in NETWORKS if any(row.network == name and row.metric != "psnr" for row in rows)]
    for number, name in enumerate(names):
        for method, marker in _MARKERS.items():
            own = [row for row in rows if (row.network, row.method) == (name, method)]
            style = {"marker": marker, "ls": "-" if method == METHODS[0] else ":", "color": _COLOURS(number)}
            _curve(axes, own, style, name if method == METHODS[0] else None)
    axes.axhline(100.0, color="#888888", ls=":")
    axes.set(xlabel="points lost on test images", ylabel="energy, % of dense 8 bits")
    axes.set_ylim(0, 105)
    axes.legend(frameon=False, ncols=2, title=", ".join(f"{marker}: {method}" for method, marker in _MARKERS.items()))
    return figure


def _curve(axes: Axes, rows: Sequence[Row], style: dict[str, Any], label: str | None) -> None:
    goals = sorted({row.goal for row in rows if row.policy})
    points = [_mean_point([row for row in rows if row.goal == goal and row.policy]) for goal in goals]
    if points:
        axes.plot([x for x, _ in points], [y for _, y in points], label=label, **style)


def _mean_point(rows: Sequence[Row]) -> tuple[float, float]:
    left = [100.0 - (row.saved("energy_uj") or 0.0) for row in rows]
    lost = [row.drop_test or 0.0 for row in rows]
    return sum(lost) / len(lost), sum(left) / len(left)
