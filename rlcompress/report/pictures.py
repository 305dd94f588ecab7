"""Still pictures of a run: where only pictures can be shown, such as TensorBoard and documents."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlcompress.hw_models import LayerCost
from rlcompress.report.charts import LEVEL_COLOURS
from rlcompress.report.costs import Costs, run_costs
from rlcompress.report.run_folder import RunData, read_run

_SHOWN = 4.0  # times the allowed drop
_BAR = 0.36


def run_pictures(path: str | Path) -> dict[str, Figure]:
    """Pictures of a finished run by name.

    Raises:
        RlcompressError: the folder is damaged.
    """
    data = read_run(path)
    return {"report/front": front_picture(data), "report/layers": layers_picture(run_costs(data))}


def layers_picture(costs: Costs) -> Figure:
    """Energy of every layer before and after by memory level, above what the policy does to it."""
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    energy, policy = figure.subplots(2, 1, height_ratios=(3, 2), sharex=True)
    names = [spec.name for spec in costs.specs if spec.compressible]
    _energy_bars(energy, costs, names)
    energy.set(ylabel=f"energy, {costs.dense.unit}", title="dense 8 bits (left) and the policy (right)")
    _policy_rows(policy, costs, names)
    policy.set_xticks(range(len(names)), names, rotation=60, ha="right")
    return figure


def _energy_bars(axes: Axes, costs: Costs, names: list[str]) -> None:
    for shift, cost in ((-0.2, costs.dense), (0.2, costs.policy)):
        if cost is None:
            continue
        layers = {layer.name: layer for layer in cost.layers}
        bottom = [0.0] * len(names)
        for level in costs.levels:
            height = [_uj(layers[name], level) for name in names]
            places = [i + shift for i in range(len(names))]
            label = level if shift < 0 else None
            axes.bar(places, height, _BAR, bottom, color=LEVEL_COLOURS[level], label=label)
            bottom = [b + h for b, h in zip(bottom, height, strict=True)]
    if costs.levels:
        axes.legend(ncols=6, frameon=False, loc="upper left")


def _uj(layer: LayerCost, level: str) -> float:
    return layer.energy_pj[level] * 1e-6


def _policy_rows(axes: Axes, costs: Costs, names: list[str]) -> None:
    choices = [costs.choices[name] for name in names if name in costs.choices]
    if not choices:
        return
    places = range(len(names))
    axes.bar(places, [8 * c.keep_ratio for c in choices], 0.8, color="#dddddd", label="keep ratio (full height: 1)")
    axes.step(places, [c.weight_bits for c in choices], where="mid", label="weight bits")
    axes.step(places, [c.activation_bits for c in choices], where="mid", label="activation bits")
    for i, choice in enumerate(choices):
        if choice.granularity != "none":
            axes.text(i, 0.2, choice.granularity, rotation=90, ha="center", va="bottom", color="#555555")
    axes.set(ylim=(0, 8.4))
    axes.legend(ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))


def front_picture(data: RunData) -> Figure:
    """What every candidate saves and loses, with the front on search and test images."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    most = _SHOWN * data.run.settings.max_drop or 1.0
    drops = [row.score.drop for row in data.history]
    axes.scatter(drops, [row.saved_pct for row in data.history], 8, "#bbbbbb", label="candidates")
    for split, marker in (("search", "o:"), ("test", "o-")):
        known = [entry for entry in data.front if getattr(entry, f"drop_{split}") is not None]
        saved = [entry.energy_saved_pct for entry in known]
        axes.plot([getattr(e, f"drop_{split}") for e in known], saved, marker, label=f"front, {split} images")
    best = data.result.best if data.result else None
    if best is not None and best.drop_test is not None:
        axes.plot([best.drop_test], [best.energy_saved_pct], "*", ms=14, label="chosen policy")
    axes.axvline(data.run.settings.max_drop, color="#888888", ls=":")
    axes.set(xlabel=f"{data.run.metric.unit} of {data.run.metric.label} lost", ylabel="saved, %")
    axes.set_xlim(min([*drops, 0.0]) - 0.05 * most, most)
    axes.legend(frameon=False, loc="lower right")
    return figure
