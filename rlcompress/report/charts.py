"""The interactive charts of a report, as plotly figures.

Colours of text, grid and background belong to the page's theme and are set there; trace colours are chosen to be
readable on light and dark. Names come from files: every one is escaped, since plotly reads tags in labels.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import plotly.graph_objects as go

from rlcompress.hw_models import NetworkCost
from rlcompress.report.policy_text import candidate_source, candidate_text, entry_text
from rlcompress.report.records import Candidate, Sensitivity
from rlcompress.report.run_folder import RunData

LEVEL_COLOURS = {
    "MAC": "#4269d0",
    "RF": "#9c6b4e",
    "NoC": "#97bbf5",
    "GLB": "#efb118",
    "DRAM": "#ff725c",
    "static": "#9498a0",
    "measured": "#4269d0",
}
RUN_COLOURS = ("#2f7ed8", "#e4572e", "#17a673", "#a463f2", "#c98a00", "#d6409f", "#5a7d9a", "#7a9e00")

_SHOWN = 4.0  # times the allowed drop that the front chart shows at first
_SHOWN_OF_NONE = 2.0  # where no drop is allowed
_LEAST_KL = 1e-6


Views = dict[str, tuple[list[list[float]], str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with other views of it.

    Attributes:
        figure: as it is shown first.
        views: label of a button -> vertical values of every trace, and the axis's title; the first is the figure's own.
    """

    figure: go.Figure
    views: Views = field(default_factory=dict)


def front_chart(runs: Sequence[RunData]) -> Chart:
    """Energy (or latency, by a button) against what is lost of the metric: every candidate faint, the front bold.

    The axis shows up to four times the allowed drop; a double click shows everything.
    """
    figure = go.Figure()
    latency = []
    for colour, data in zip(_colours(runs), runs, strict=True):
        name = f"{_name(data)}: " if len(runs) > 1 else ""
        for trace, milliseconds in _front_traces(data, colour, name):
            figure.add_trace(trace)
            latency.append(milliseconds)
    metric = runs[0].run.metric
    lost = escape(f"{metric.unit} of {metric.label} lost", quote=False)
    energy, title = [list(trace.y) for trace in figure.data], f"energy, {runs[0].unit}"
    figure.update_layout(
        xaxis={
            "title": lost,
            "range": _drop_range(runs),
            "zeroline": True,
        },
        yaxis={"title": title, "rangemode": "tozero"},
        hovermode="closest",
    )
    allowed = {data.run.settings.max_drop for data in runs}
    if len(allowed) == 1:
        figure.add_vline(x=allowed.pop(), line_dash="dot", line_color="#888888", annotation_text="allowed")
    return Chart(figure, {"energy": (energy, title), "latency": (latency, "latency, ms")})


def _front_traces(data: RunData, colour: str, name: str) -> Iterable[tuple[go.Scatter, list[float]]]:
    rows, entries = data.history, data.front
    yield (
        go.Scatter(
            x=[row.score.drop for row in rows],
            y=[row.energy_uj for row in rows],
            text=[candidate_text(row, data) for row in rows],
            name=f"{name}candidates",
            mode="markers",
            marker={"size": 6, "color": colour if name else "#808890", "opacity": 0.45},
            hovertemplate="%{text}<extra></extra>",
        ),
        [row.latency_ms for row in rows],
    )
    choices = {row.policy: row for row in rows}
    for split in ("search", "test"):
        known = [entry for entry in entries if getattr(entry, f"drop_{split}") is not None]
        errors = [1.96 * (getattr(entry, f"drop_{split}_error") or 0.0) for entry in known]
        yield (
            go.Scatter(
                x=[getattr(entry, f"drop_{split}") for entry in known],
                y=[entry.energy_uj for entry in known],
                text=[entry_text(entry, split, choices.get(entry.id), data) for entry in known],
                error_x={"type": "data", "array": errors, "thickness": 1, "width": 3, "visible": split == "test"},
                name=f"{name}front, {split} images",
                mode="lines+markers",
                line={"color": colour, "width": 3, "dash": "solid" if split == "test" else "dot"},
                marker={"size": 10, "symbol": "circle" if split == "test" else "circle-open"},
                hovertemplate="%{text}<extra></extra>",
            ),
            [entry.latency_ms for entry in known],
        )
    if data.result is not None:
        base, best = data.result.baseline, data.result.best
        split = "search" if best.drop_test is None else "test"
        dense = f"dense 8 bits<br>{base.energy_uj:.4g} {data.unit}, {base.latency_ms:.4g} ms"
        chosen = entry_text(best, split, choices.get(best.id), data, "chosen policy")
        for title, x, figures, symbol, text in (
            ("chosen policy", getattr(best, f"drop_{split}"), best, "star", chosen),
            ("dense 8 bits", 0.0, base, "square", dense),
        ):
            yield (
                go.Scatter(
                    x=[x],
                    y=[figures.energy_uj],
                    name=f"{name}{title}",
                    mode="markers",
                    marker={"size": 15 if symbol == "star" else 10, "symbol": symbol, "color": colour,
                            "line": {"width": 1.5, "color": "#ffffff"}},
                    text=[text],
                    hovertemplate="%{text}<extra></extra>",
                ),
                [figures.latency_ms],
            )  # fmt: skip


def _drop_range(runs: Sequence[RunData]) -> list[float]:
    most = _SHOWN * max(data.run.settings.max_drop for data in runs) or _SHOWN_OF_NONE
    drops = [row.score.drop for data in runs for row in data.history]
    return [min([*drops, 0.0]) - 0.05 * most, min(most, 1.05 * max([*drops, 0.1]))]


def beyond_axis(runs: Sequence[RunData]) -> int:
    """Candidates that lose more than the front chart shows at first."""
    limit = _drop_range(runs)[1]
    return sum(row.score.drop > limit for data in runs for row in data.history)


def levels_chart(costs: Mapping[str, NetworkCost], levels: Iterable[str]) -> Chart:
    """Energy by memory level of each network; ``costs``: title -> cost."""
    titles = list(costs)
    figure = go.Figure()
    for level in levels:
        values = [costs[title].energy_pj[level] * 1e-6 for title in titles]
        shares = [100 * value / (costs[title].energy_uj or 1.0) for value, title in zip(values, titles, strict=True)]
        figure.add_bar(
            y=titles,
            x=values,
            name=level,
            orientation="h",
            marker_color=LEVEL_COLOURS[level],
            customdata=shares,
            hovertemplate=f"{level}: %{{x:.4g}} (%{{customdata:.1f}} %)<extra>%{{y}}</extra>",
        )
    figure.update_layout(
        height=150 + 56 * len(titles),
        barmode="stack",
        xaxis_title=f"energy, {next(iter(costs.values())).unit}",
        yaxis={"autorange": "reversed"},
        legend_traceorder="normal",
    )
    return Chart(figure)


def sensitivity_chart(rows: Sequence[Sensitivity]) -> Chart:
    """Divergence of the output for every thing done to every layer alone, as a heat map with logarithmic colours."""
    layers = list(dict.fromkeys(row.layer for row in rows))
    columns = sorted({(row.factor, row.value) for row in rows}, key=_column_order)
    known = {(row.layer, row.factor, row.value): _harm(row) for row in rows}
    table = [[known.get((layer, *column)) for column in columns] for layer in layers]
    ticks = range(math.floor(math.log10(_LEAST_KL)), 2)
    figure = go.Figure(
        go.Heatmap(
            x=[_column_title(*column) for column in columns],
            y=[escape(layer, quote=False) for layer in layers],
            z=[[None if value is None else math.log10(value) for value in row] for row in table],
            text=[["" if value is None else f"{value:.2g}" for value in row] for row in table],
            colorscale="Cividis",
            xgap=1,
            ygap=1,
            hovertemplate="%{y}, %{x}: %{text}<extra></extra>",
            colorbar={
                "tickvals": list(ticks),
                "ticktext": [f"10<sup>{t}</sup>" for t in ticks],
                "thickness": 10,
                "outlinewidth": 0,
            },
        )
    )
    figure.update_layout(
        height=120 + 19 * len(layers),
        yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
        xaxis={"showgrid": False, "type": "category", "tickangle": -90},
    )
    return Chart(figure)


def _harm(row: Sensitivity) -> float:
    """Divergence, or the logits' error where there are no classes; never 0, for the logarithm."""
    return max(row.logit_mse if row.kl is None else row.kl, _LEAST_KL)


def _column_order(column: tuple[str, float]) -> tuple[int, str, float]:
    order = {"weight_bits": 0, "activation_bits": 1}
    return order.get(column[0], 2), column[0], -column[1]


def _column_title(factor: str, value: float) -> str:
    short = {"weight_bits": f"W{value:g}", "activation_bits": f"A{value:g}"}
    return short.get(factor, f"{escape(factor, quote=False)} {value:.0%}")


def learning_chart(runs: Sequence[RunData]) -> Chart:
    """Percent saved by every candidate, and by the best so far whose drop is allowed."""
    figure = go.Figure()
    for colour, data in zip(_colours(runs), runs, strict=True):
        name = f"{_name(data)}: " if len(runs) > 1 else ""
        most = data.run.settings.max_drop
        for allowed, symbol, opacity in ((True, "circle", 0.8), (False, "x-thin-open", 0.5)):
            rows = [row for row in data.history if (row.score.drop <= most) == allowed]
            figure.add_scatter(
                x=[row.evaluation for row in rows],
                y=[row.saved_pct for row in rows],
                text=[candidate_source(row, data.run.metric) for row in rows],
                mode="markers",
                name=f"{name}within the allowed drop" if allowed else f"{name}beyond it",
                marker={"color": colour, "opacity": opacity, "size": 6, "symbol": symbol},
                hovertemplate="evaluation %{x}: %{y:.1f} % saved<br>%{text}<extra></extra>",
            )
        figure.add_scatter(
            x=[row.evaluation for row in data.history],
            y=best_so_far(data.history, most),
            mode="lines",
            name=f"{name}best candidate so far",
            line={"color": colour, "width": 3, "shape": "hv"},
            hovertemplate="best candidate so far: %{y:.1f} %<extra></extra>",
        )
    target = {data.run.settings.target for data in runs}
    figure.update_layout(
        xaxis={"title": "evaluation"}, yaxis={"title": f"{' / '.join(map(escape, sorted(target)))} saved, %"}
    )
    return Chart(figure)


def best_so_far(history: Sequence[Candidate], max_drop: float) -> list[float | None]:
    """Most saved within the allowed drop after each evaluation; None before there is one."""
    best: float | None = None
    curve = []
    for row in history:
        if row.score.drop <= max_drop:
            best = row.saved_pct if best is None else max(best, row.saved_pct)
        curve.append(best)
    return curve


def _colours(runs: Sequence[RunData]) -> list[str]:
    return [RUN_COLOURS[i % len(RUN_COLOURS)] for i in range(len(runs))]


def _name(data: RunData) -> str:
    return escape(data.path.name, quote=False)
