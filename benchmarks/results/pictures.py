"""Energy against what is lost on test images, a picture an accelerator."""

from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

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
    styles: dict[str, dict[str, Any]] = {}
    for name in (name for name in NETWORKS if any(row.network == name and row.metric != "psnr" for row in rows)):
        styles[name] = {"color": _COLOURS(len(styles))}
        for method, marker in _MARKERS.items():
            line = {"marker": marker, "ls": "-" if method == METHODS[0] else ":", **styles[name]}
            _curve(axes, [row for row in rows if (row.network, row.method) == (name, method)], line)
    methods = {
        method: {"marker": marker, "ls": "", "color": "#444444"}
        for method, marker in _MARKERS.items()
        if any(row.method == method for row in rows)
    }
    handles = [Line2D([], [], label=label, **style) for label, style in {**styles, **methods}.items()]
    axes.legend(handles=handles, frameon=False, ncols=2)
    axes.set(xlabel="points lost on test images", ylabel="energy, % of dense 8 bits", ylim=(0, 105))
    return figure


def _curve(axes: Axes, rows: Sequence[Row], line: dict[str, Any]) -> None:
    goals = sorted({row.goal for row in rows if row.policy})
    points = [_mean_point([row for row in rows if row.goal == goal and row.policy]) for goal in goals]
    if points:
        axes.plot([x for x, _ in points], [y for _, y in points], **line)


def _mean_point(rows: Sequence[Row]) -> tuple[float, float]:
    left = [100.0 - (row.saved("energy_uj") or 0.0) for row in rows]
    lost = [row.drop_test or 0.0 for row in rows]
    return sum(lost) / len(lost), sum(left) / len(left)
