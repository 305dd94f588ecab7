"""The figures that a report begins with."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlcompress.hw_models import NetworkCost
from rlcompress.report.costs import Costs, saved_pct
from rlcompress.report.records import MetricName
from rlcompress.report.run_folder import RunData

_Z95 = 1.959964
_SAME_PCT = 0.05


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure with what it is compared with.

    Attributes:
        label: what it is.
        value: with its unit.
        notes: comparisons, one a line.
    """

    label: str
    value: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A network in the headline's table; cells as text."""

    name: str
    energy: str
    latency: str
    size: str
    metric: str
    drop: str


def cost_tiles(costs: Costs) -> list[Tile]:
    """Energy, latency and size of the policy (of dense 8 bits without one), against the dense networks."""
    cost = costs.policy or costs.dense
    against = {"8 bits": costs.dense, "16 bits": costs.reference}
    others = {title: other for title, other in against.items() if other is not None and other is not cost}
    figures = (("Energy", "energy_uj", cost.unit), ("Latency", "latency_ms", "ms"), ("Weights", "weights_kb", "kB"))
    return [
        Tile(label, f"{number(getattr(cost, key))} {of}", tuple(_change(cost, o, key, t) for t, o in others.items()))
        for label, key, of in figures
    ]


def _change(cost: NetworkCost, other: NetworkCost, key: str, title: str) -> str:
    saved = saved_pct(getattr(other, key), getattr(cost, key))
    if abs(saved) < _SAME_PCT:
        return f"as dense {title}"
    return f"{abs(saved):.1f} % {'less' if saved >= 0 else 'more'} than dense {title}"


def metric_tile(data: RunData) -> Tile | None:
    """What the policy still gets right; None while nothing is measured."""
    metric, result = data.run.metric, data.result
    if result is None:
        leading = data.leading
        if leading is None:
            return None
        drop = interval_text(leading.score.drop, leading.score.drop_error, metric)
        return Tile(
            f"{metric.label}, scoring images",
            f"{leading.score.metric:.2f}",
            (f"{metric.unit} lost: {drop}", "a candidate, not final"),
        )
    best = result.best
    if best.metric_test is None or best.drop_test is None:
        value = "not measured" if best.metric_search is None else f"{best.metric_search:.2f}"
        return Tile(f"{metric.label}, search images", value, ("no test images were read",))
    notes = (
        f"{metric.unit} lost: {interval_text(best.drop_test, best.drop_test_error, metric)}",
        f"on {best.images_test:,} test images, against the pretrained network",
    )
    return Tile(f"{metric.label}, test images", f"{best.metric_test:.2f}", notes)


def verdict(data: RunData) -> str:
    """Whether the test images confirm that the policy stays within the allowed drop, as far as they can tell."""
    most, figure = data.run.settings.max_drop, data.run.metric.figure
    allowed = f"{data.run.metric.amount(most)} {'was' if most == 1 else 'were'} allowed"
    if data.result is None:
        of = f" of {data.run.settings.evaluations}" if data.run.settings.evaluations else ""
        return (
            f"No final result yet: {len(data.history)}{of} evaluations are recorded. What is shown is the leading "
            "candidate on the images it was chosen by; the final policy may differ."
        )
    if data.result.missed and f"{most:g}" not in data.result.best_by_goal:
        return f"Shown is the policy that loses least: {data.result.missed}."
    best = data.result.best
    if best.drop_test is None:
        return "No test images were read, so nothing is said beyond the search images."
    if best.drop_test_error is None:
        return f"{allowed}; {figure(best.drop_test)} are lost on the test images (no interval recorded)."
    low, high = (best.drop_test + sign * _Z95 * best.drop_test_error for sign in (-1, 1))
    said = f"{allowed}; the test images say {figure(best.drop_test)} (95 % interval {figure(low)} to {figure(high)})"
    if high <= most:
        return f"{said}: the whole interval is within the allowance."
    if low > most:
        return f"{said}: the allowance is missed."
    side = "within" if best.drop_test <= most else "beyond"
    return f"{said}: measured {side} the allowance, but {best.images_test:,} images cannot tell for certain."


def headline_rows(costs: Costs, data: RunData | None = None) -> list[Row]:
    """Dense networks and policy; metrics where a finished run gives them."""
    result = data.result if data else None
    rows = []
    for title, cost in costs.columns.items():
        metric = drop = ""
        if result is not None and data is not None:
            figures = result.best if title == "policy" else result.baseline
            metric = _metric_text(figures.metric_test, result.best.images_test, data.run.metric)
            best = result.best
            drop = interval_text(best.drop_test, best.drop_test_error, data.run.metric) if title == "policy" else ""
        saved = f" ({saved_pct(costs.dense.energy_uj, cost.energy_uj):.1f} % saved)" if title == "policy" else ""
        rows.append(
            Row(
                title,
                f"{number(cost.energy_uj)} {cost.unit}{saved}",
                f"{number(cost.latency_ms)} ms",
                f"{number(cost.weights_kb)} kB",
                metric,
                drop,
            )
        )
    return rows


def _metric_text(value: float | None, images: int, metric: MetricName) -> str:
    if value is None:
        return ""
    if not metric.counts_images or not images:
        return f"{value:.2f}"
    low, high = wilson(value / 100, images)
    return f"{value:.2f} ({100 * low:.2f} to {100 * high:.2f})"


def interval_text(value: float | None, error: float | None, metric: MetricName) -> str:
    """A drop with its 95 % interval where its standard error is known."""
    if value is None:
        return "not measured"
    return metric.figure(value) + ("" if error is None else f" ± {metric.figure(_Z95 * error)}")


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of ``count`` independent images (Wilson 1927).

    >>> low, high = wilson(0.9, 1000)
    >>> round(low, 3), round(high, 3)
    (0.88, 0.917)
    """
    z2 = _Z95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def number(value: float) -> str:
    """Three significant digits at least, thousands grouped.

    >>> number(1.05177), number(0.0025464), number(12345.6)
    ('1.05', '0.00255', '12,346')
    """
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def goal_rows(data: RunData) -> list[tuple[str, ...]]:
    """(allowed drop, energy saved, latency, lost on the test images, file of the policy) of every goal of several."""
    goals = data.result.best_by_goal if data.result else {}
    if len(goals) < 2:
        return []
    return [
        (
            f"{goal} {data.run.metric.unit}",
            f"{entry.energy_saved_pct:.1f} %",
            f"{number(entry.latency_ms)} ms",
            interval_text(entry.drop_test, entry.drop_test_error, data.run.metric),
            f"policy_{goal}.json",
        )
        for goal, entry in goals.items()
    ]


@dataclass(frozen=True, slots=True)
class Spread:
    """Runs that differ in their seed only.

    Attributes:
        label: what they share.
        seeds: how many.
        saved: mean and spread of the energy saved, in words.
        drop: of what is lost of the metric on the test images.
    """

    label: str
    seeds: int
    saved: str
    drop: str


def spreads(runs: Sequence[RunData]) -> list[Spread]:
    """Mean and standard deviation over seeds, of finished runs that differ in nothing but the seed; one run a seed."""
    groups: dict[str, dict[int, RunData]] = {}
    for data in runs:
        if data.result is not None:
            about = {"settings": data.run.settings.model_dump(exclude={"seed"}), "metric": data.run.metric.model_dump()}
            key = json.dumps(about, sort_keys=True, default=str)
            groups.setdefault(key, {}).setdefault(data.run.settings.seed, data)
    return [_spread(list(group.values())) for group in groups.values() if len(group) > 1]


def _spread(group: Sequence[RunData]) -> Spread:
    settings, best = group[0].run.settings, [data.result.best for data in group if data.result]
    return Spread(
        f"{settings.network} on {settings.hardware}, {settings.agent}",
        len(group),
        _mean_text([entry.energy_saved_pct for entry in best], "{:.2f}".format),
        _mean_text([entry.drop_test for entry in best if entry.drop_test is not None], group[0].run.metric.figure),
    )


def _mean_text(values: Sequence[float], figure: Callable[[float], str]) -> str:
    if len(values) < 2:
        return ""
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{figure(mean)} ± {figure(deviation)}"
