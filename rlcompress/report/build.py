"""Reports: of runs, and of a network's energy without a search."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from rlcompress.errors import RunError
from rlcompress.files import write_atomic
from rlcompress.hw_models import HardwareModel
from rlcompress.report import facts
from rlcompress.report.charts import (
    LEVEL_COLOURS,
    beyond_axis,
    front_chart,
    learning_chart,
    levels_chart,
    sensitivity_chart,
)
from rlcompress.report.costs import Costs, run_costs, saved_pct
from rlcompress.report.headline import (
    cost_tiles,
    goal_rows,
    headline_rows,
    interval_text,
    metric_tile,
    number,
    spreads,
    verdict,
)
from rlcompress.report.layers import layer_rows
from rlcompress.report.page import Page, fill
from rlcompress.report.run_folder import RunData, read_runs
from rlcompress.spec import LayerChoice, LayerSpec

REPORT = "report.html"


def write_report(runs: Sequence[str | Path], out: str | Path | None = None) -> Path:
    """Write the report of one or more run folders, from their files alone.

    Args:
        runs: run folders; a search may still be writing them.
        out: the HTML file; report.html in the first folder by default.

    Returns:
        The path of the report.

    Raises:
        RunError: a folder holds no run or a damaged file, or the report cannot be written.
        RlcompressError: the hardware description or the network's specs are not valid.
    """
    path = Path(runs[0]) / REPORT if out is None and runs else Path(out or REPORT)
    write_text(run_report(read_runs(runs)), path)
    return path


def write_text(text: str, path: Path) -> None:
    """Write a file in one step.

    Raises:
        RunError: it cannot be written.
    """
    try:
        write_atomic(path, text)
    except OSError as error:
        raise RunError(f"cannot write {path} ({error.strerror}); give another file with --out") from None


def run_report(runs: Sequence[RunData]) -> str:
    """The HTML of a report of one or more runs."""
    first = runs[0].run.settings
    if len(runs) == 1:
        page = Page(f"{first.network} on {first.hardware}", _subtitle(runs[0]))
        _add_run(page, runs[0], "")
        return page.html()
    page = Page(f"{len(runs)} runs compared", ", ".join(data.path.name for data in runs))
    page.add("", "overview", "Overview", _overview(runs))
    _add_searches(page, runs, "")
    for number_, data in enumerate(runs, 1):
        _add_run(page, data, f"run-{number_}-", title=f"{data.path.name}: ", alone=False)
    return page.html()


def energy_report(
    name: str,
    specs: Sequence[LayerSpec],
    hardware: HardwareModel,
    choices: Mapping[str, LayerChoice] | None = None,
) -> str:
    """The HTML of a report of what a network costs, without a search.

    Args:
        name: of the network.
        specs: its operators.
        hardware: the accelerator.
        choices: a policy; None for the dense network alone.
    """
    costs = Costs.of(specs, hardware, choices)
    page = Page(
        f"{name} on {hardware.name}", "energy and latency of one image; nothing was searched, no accuracy measured"
    )
    page.add("", "headline", "Headline", _headline(costs, None))
    _add_costs(page, costs, "", "")
    page.add("", "hardware", "Hardware", _hardware(hardware))
    return page.html()


def _subtitle(data: RunData) -> str:
    settings = data.run.settings
    allowed = data.run.metric.amount(settings.max_drop)
    return f"{settings.data}, {settings.agent}, seed {settings.seed}, at most {allowed} lost"


def _add_run(page: Page, data: RunData, prefix: str, *, title: str = "", alone: bool = True) -> None:
    costs = run_costs(data)
    page.add(prefix, "headline", f"{title}Headline", _headline(costs, data))
    if alone:
        _add_front(page, [data], prefix)
    _add_costs(page, costs, prefix, title)
    if data.sensitivity:
        page.add(prefix, "sensitivity", f"{title}Sensitivity", _sensitivity(page, data, prefix))
    if alone:
        _add_learning(page, [data], prefix)
    page.add(prefix, "hardware", f"{title}Hardware", _hardware(costs.hardware))
    measured = facts.measurement_facts(data) | facts.version_facts(data)
    body = fill("facts.html.j2", facts=measured, tag="", meaning="", command=facts.command(data), document="")
    page.add(prefix, "measured", f"{title}How it was measured", body)


def _add_searches(page: Page, runs: Sequence[RunData], prefix: str) -> None:
    _add_front(page, runs, prefix)
    _add_learning(page, runs, prefix)


def _add_front(page: Page, runs: Sequence[RunData], prefix: str) -> None:
    hidden = beyond_axis(runs)
    text = "Hover or tap a point for its policy. Left and below is better; the horizontal lines are 95 % intervals."
    more = f" Candidates that lose more than the axis shows: {hidden}; double-click to see them." if hidden else ""
    label = "Pareto front: energy or latency against what is lost of the metric"
    page.add(prefix, "front", "Pareto front", page.chart(f"{prefix}front-chart", front_chart(runs), label, text + more))


def _add_learning(page: Page, runs: Sequence[RunData], prefix: str) -> None:
    label = "what every evaluated candidate saves, in the order of evaluation"
    text = "Drops here are those on the scoring images; final figures come from images that no candidate was chosen by."
    page.add(
        prefix, "learning", "Learning curve", page.chart(f"{prefix}learning-chart", learning_chart(runs), label, text)
    )


def _add_costs(page: Page, costs: Costs, prefix: str, title: str) -> None:
    heading = "Policy, layer by layer" if costs.policy else "Layer by layer"
    page.add(prefix, "layers", f"{title}{heading}", _layers(costs))
    page.add(prefix, "energy", f"{title}Where the energy goes", _levels(page, costs, prefix))


def _headline(costs: Costs, data: RunData | None) -> Markup:
    tiles = cost_tiles(costs)
    metric = metric_tile(data) if data else None
    confidence = costs.hardware.description.confidence
    return fill(
        "headline.html.j2",
        tiles=[*tiles, metric] if metric else tiles,
        rows=headline_rows(costs, data),
        goals=goal_rows(data) if data else [],
        measured=data is not None and data.result is not None,
        finished=data is None or data.result is not None,
        metric=data.run.metric if data else None,
        verdict=verdict(data) if data else "",
        hardware=costs.hardware.name,
        confidence=confidence,
        meaning=facts.CONFIDENCE[confidence],
    )


def _layers(costs: Costs) -> Markup:
    rows = layer_rows(costs)
    return fill(
        "layers.html.j2",
        rows=rows,
        left_out=len(costs.specs) - len(rows),
        policy=costs.policy is not None,
        unit=costs.dense.unit,
        colours=[(level, LEVEL_COLOURS[level]) for level in costs.levels],
        palette=LEVEL_COLOURS,
    )


def _levels(page: Page, costs: Costs, prefix: str) -> Markup:
    figure = levels_chart(costs.columns, costs.levels)
    chart = page.chart(f"{prefix}energy-chart", figure, "energy by memory level, dense against compressed")
    rows = [
        [level, *(number(cost.energy_pj[level] * 1e-6) for cost in costs.columns.values())]
        + ([f"{saved_pct(costs.dense.energy_pj[level], costs.policy.energy_pj[level]):.1f} %"] if costs.policy else [])
        for level in costs.levels
    ]
    return fill(
        "levels.html.j2",
        chart=chart,
        titles=list(costs.columns),
        unit=costs.dense.unit,
        saved=costs.policy is not None,
        rows=rows,
    )


def _sensitivity(page: Page, data: RunData, prefix: str) -> Markup:
    return page.chart(
        f"{prefix}sensitivity-chart",
        sensitivity_chart(data.sensitivity),
        "divergence of the outputs when one thing is done to one layer alone",
        "Divergence of the network's outputs from the dense network's when one thing is done to one layer alone: "
        "W and A are weight and activation bits, percentages are what is kept. Bright hurts; empty fields are layers "
        "that another one decides for, or granularities that do not apply.",
    )


def _hardware(hardware: HardwareModel) -> Markup:
    confidence = hardware.description.confidence
    return fill(
        "facts.html.j2",
        facts=facts.hardware_facts(hardware),
        tag=confidence,
        meaning=facts.CONFIDENCE[confidence],
        command="",
        document=hardware.document[1],
    )


def _overview(runs: Sequence[RunData]) -> Markup:
    rows = []
    for data in runs:
        settings, result = data.run.settings, data.result
        best = result.best if result else None
        rows.append(
            (
                data.path.name,
                settings.network,
                settings.hardware,
                settings.agent,
                settings.seed,
                f"{best.energy_saved_pct:.1f} %" if best else "running",
                interval_text(best.drop_test, best.drop_test_error, data.run.metric) if best else "",
                result.evaluations if result else len(data.history),
                f"{result.seconds:.0f} s" if result else "",
            )
        )
    return fill("overview.html.j2", rows=rows, spreads=spreads(runs))
