"""A search's outcome as a small table, for the terminal and for notebooks."""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from rlcompress.report.costs import saved_pct
from rlcompress.report.records import MetricName

if TYPE_CHECKING:
    from rlcompress.searches.result import SearchResult


@dataclass(frozen=True, slots=True)
class Summary:
    """Cells of the table.

    Attributes:
        title: what was searched.
        header: names of the columns.
        rows: dense networks, the best policy, and that of every further goal.
        caption: what was lost, on how many images.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str

    def to_text(self) -> str:
        """The table in columns."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = ("   ".join(map(str.ljust, row, widths)).rstrip() for row in (self.header, *self.rows))
        return "\n".join((self.title, *lines, self.caption))

    def to_html(self) -> str:
        """The table as HTML, every cell escaped."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.header)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        return (
            f"<table><caption>{escape(self.title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<p>{escape(self.caption)}</p>"
        )


def summary_of(result: "SearchResult") -> Summary:
    """Baselines against the best policy and those of further goals."""
    metric, best = result.metric, result.best
    figure = MetricName(unit=metric.unit).figure
    figures = {"dense 16 bits": result.reference, "dense 8 bits": result.baseline}
    figures["best policy" if result.within else "nearest policy"] = best.figures
    for goal, entry in result.best_by_goal.items():
        if goal != result.max_drop:
            figures[f"at most {goal:g} lost"] = entry.figures
    dense = result.baseline
    rows = tuple(
        (
            name,
            f"{of.energy_uj:.2f}",
            _saved(of.energy_uj, dense.energy_uj),
            f"{of.latency_ms:.4f}",
            _saved(of.latency_ms, dense.latency_ms),
            f"{of.metric_search:.2f}",
            f"{of.metric_test:.2f}",
        )
        for name, of in figures.items()
        if of is not None
    )
    return Summary(
        title=(
            f"{result.network} on {result.hardware}, least {result.target}: {result.evaluations} evaluations, "
            f"{result.seconds:.0f} s"
        ),
        header=(
            "",
            f"energy {result.energy_unit}",
            "energy saved",
            "latency ms",
            "latency saved",
            f"{metric.label} search",
            f"{metric.label} test",
        ),
        rows=rows,
        caption=(
            f"{metric.unit} lost: {figure(best.drop_search)} on search images, where {figure(best.drop_likely)} are "
            f"likely, {figure(best.drop_test)} on {best.images_test} test images; {metric.label} of dense rows is the "
            f"pretrained network's own{_beyond(result)}"
        ),
    )


def _beyond(result: "SearchResult") -> str:
    """What is to be said where test images lose more than was allowed, and not by chance."""
    best = result.best
    if not result.within or best.drop_test - 2.0 * best.drop_test_error <= result.max_drop:
        return ""
    return (
        f"; test images lose more than the {result.max_drop:g} allowed, so search images are no measure of others here"
    )


def _saved(figure: float, dense: float) -> str:
    return f"{saved_pct(dense, figure):.1f} %"
