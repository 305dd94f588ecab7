"""The table and the plot of a comparison."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlcompress.searches.comparison import Trial

Row = dict[str, Any]


def summary_rows(trials: Sequence[Trial]) -> list[Row]:
    """One row an allowed drop and method: means over the seeds, with their standard deviations (``_std``).

    Energies, savings and drops are means over the seeds that found a policy; ``found`` says how many those are.
    """
    rows: list[Row] = []
    for goal in trials[0].reached:
        for agent in dict.fromkeys(trial.agent for trial in trials):
            own = [trial for trial in trials if trial.agent == agent]
            found = [reached for trial in own if (reached := trial.reached[goal]) is not None]
            row: Row = {"max_drop": float(goal), "agent": agent, "seeds": len(own), "found": len(found)}
            for name in ("energy_uj", "saved_pct", "drop_search", "drop_test"):
                row |= _mean_and_std(name, [getattr(reached, name) for reached in found])
            for name in ("hypervolume", "evaluations", "seconds"):
                row |= _mean_and_std(name, [getattr(trial, name) for trial in own])
            rows.append(row)
    return rows


def _mean_and_std(name: str, values: Sequence[float]) -> Row:
    if not values:
        return {name: None, f"{name}_std": None}
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {name: float(np.mean(values)), f"{name}_std": spread}


def to_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def plot_html(trials: Sequence[Trial], title: str) -> str:
    """A page that opens without a network: the best so far over evaluations, and what was reached on test images."""
    from plotly import graph_objects
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    titles = ("measured within the first allowed drop, mean over seeds", "chosen policies of each seed")
    figure = make_subplots(rows=1, cols=2, subplot_titles=titles)
    for number, agent in enumerate(dict.fromkeys(trial.agent for trial in trials)):
        own = [trial for trial in trials if trial.agent == agent]
        style = {"name": agent, "legendgroup": agent}
        color = qualitative.Dark24[number % len(qualitative.Dark24)]
        curve = _mean_curve(own)
        evaluations = list(range(1, len(curve) + 1))
        line = graph_objects.Scatter(x=evaluations, y=curve, mode="lines", line={"color": color}, **style)
        figure.add_trace(line, row=1, col=1)
        points = [reached for trial in own for reached in trial.reached.values() if reached is not None]
        drops, saved = [point.drop_test for point in points], [point.saved_pct for point in points]
        dots = graph_objects.Scatter(
            x=drops, y=saved, mode="markers", marker={"color": color}, showlegend=False, **style
        )
        figure.add_trace(dots, row=1, col=2)
    figure.update_xaxes(title_text="evaluations", row=1, col=1)
    figure.update_xaxes(title_text="lost on test images", row=1, col=2)
    figure.update_yaxes(title_text="% saved against dense 8 bits", row=1, col=1)
    figure.update_layout(title=title, template="plotly_white")
    return str(figure.to_html(include_plotlyjs=True, full_html=True))


def _mean_curve(trials: Sequence[Trial]) -> list[float]:
    """Mean over the seeds; a search that ended early keeps its last value."""
    longest = max(len(trial.curve) for trial in trials)
    curves = [trial.curve + trial.curve[-1:] * (longest - len(trial.curve)) for trial in trials]
    return [float(value) for value in np.mean(curves, axis=0)]
