"""Draw a run: energy of every layer before and after, the policy, and the Pareto front.

    python -m benchmarks.picture runs/resnet20 docs/resnet20.svg

Needs matplotlib (extra ``docs``).
"""

import argparse
import csv
import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from rlcompress import hw_models
from rlcompress.network.spec_cards import built_in_specs
from rlcompress.spec import CompressionPolicy, LayerChoice

_LEVELS = {
    "MAC": "#4269d0",
    "RF": "#9c6b4e",
    "NoC": "#97bbf5",
    "GLB": "#efb118",
    "DRAM": "#ff725c",
    "static": "#9498a0",
}


def draw(run: Path, out: Path) -> None:
    """Write the picture of a finished run on a built-in network."""
    policy = CompressionPolicy.load(run / "policy.json")
    result = json.loads((run / "result.json").read_text())
    specs = built_in_specs(policy.network.name)
    model = hw_models.load(policy.hardware)
    dense = {name: LayerChoice() for name, _ in policy}
    costs = [model.cost(specs, choices).layers for choices in (dense, policy.choices)]
    mpl.rcParams.update(
        {"font.size": 8, "svg.hashsalt": "rlcompress", "axes.spines.top": False, "axes.spines.right": False}
    )
    figure, axes = plt.subplots(3, 1, figsize=(8, 7.5), height_ratios=(3, 2, 3), layout="constrained")
    names = [name for name, _ in policy]
    for shift, layers in zip((-0.2, 0.2), costs, strict=True):
        _energy_bars(axes[0], [layer for layer in layers if layer.name in dense], shift)
    axes[0].set(ylabel="energy, uJ", title=_title(result), xticks=[])
    axes[0].legend(ncols=6, frameon=False, loc="upper left")
    _policy_rows(axes[1], policy)
    axes[1].set_xticks(range(len(names)), names, rotation=60, ha="right")
    _front(axes[2], run, result)
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None, dpi=150)


def _title(result: dict[str, object]) -> str:
    return (
        f"{result['network']} on {result['hardware']}: dense 8 bits (left) and the policy found (right), layer by layer"
    )


def _energy_bars(axes: Axes, layers: list[hw_models.LayerCost], shift: float) -> None:
    bottom = [0.0] * len(layers)
    for level, colour in _LEVELS.items():
        height = [layer.energy_pj[level] * 1e-6 for layer in layers]
        if any(height):
            label = level if shift < 0 else None
            axes.bar([i + shift for i in range(len(layers))], height, 0.36, bottom, color=colour, label=label)
        bottom = [b + h for b, h in zip(bottom, height, strict=True)]


def _policy_rows(axes: Axes, policy: CompressionPolicy) -> None:
    choices = [choice for _, choice in policy]
    positions = range(len(choices))
    axes.step(positions, [c.weight_bits for c in choices], where="mid", label="weight bits")
    axes.step(positions, [c.activation_bits for c in choices], where="mid", label="activation bits")
    axes.bar(positions, [8 * c.keep_ratio for c in choices], 0.8, color="#dddddd", label="keep ratio (full height: 1)")
    for i, choice in enumerate(choices):
        if choice.granularity != "none":
            axes.text(i, 0.2, choice.granularity, rotation=90, ha="center", va="bottom", color="#555555")
    axes.set(ylim=(0, 8.4))
    axes.legend(ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))


def _front(axes: Axes, run: Path, result: dict[str, dict[str, float]]) -> None:
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    axes.scatter([r["score"]["drop"] for r in rows], [r["saved_pct"] for r in rows], 8, "#bbbbbb", label="candidates")
    front = list(csv.DictReader((run / "front.csv").open()))
    for split, marker in (("search", "o"), ("test", "x")):
        drops = [float(row[f"drop_{split}"]) for row in front]
        axes.plot(
            drops,
            [float(row["energy_saved_pct"]) for row in front],
            f"{marker}-",
            lw=0.8,
            label=f"front, {split} images",
        )
    best = result["best"]
    axes.annotate("chosen", (best["drop_search"], best["energy_saved_pct"]), (10, -14), textcoords="offset points")
    axes.set(xlabel="points of top-1 lost", ylabel="energy saved, %", xlim=(-0.3, 4))
    axes.legend(frameon=False, loc="lower right")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    draw(arguments.run, arguments.out)
