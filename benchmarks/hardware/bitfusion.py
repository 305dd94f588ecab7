"""Bit Fusion: the authors' simulator (ISCA 2018), layer by layer, and the ratios to Eyeriss."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.hardware.row import Row, computing, figures_of, read, with_batch
from benchmarks.networks.bitfusion import NETWORKS
from rlcompress.hw_models.figures import Figures

IMAGES = 16
NAME = "bitfusion_16x32"


def rows(reference: Path) -> list[Row]:
    """Cycles of every layer; cycles and energy of every network; geometric means over the networks."""
    layers, networks = read(reference, "bitfusion_layers"), read(reference, "bitfusion_vs_eyeriss")
    out: list[Row] = []
    speedups, reductions = [], []
    for network in networks:
        name = network["network"]
        specs, widths = NETWORKS[name]()
        figures = figures_of(with_batch(NAME, IMAGES), specs, widths)
        names = [(i, spec.name.split("_")[0] if "module" in spec.name else spec.name) for i, spec in computing(specs)]
        out += _layer_rows(name, names, [row for row in layers if row["network"] == name], figures)
        chosen = [i for i, _ in names]
        ms, uj = float(figures.cycles[chosen].sum()) / 500e3, float(figures.energy_pj[:, chosen].sum()) * 1e-6
        out.append(Row(NAME, f"{name} ms an image", float(network["bitfusion_ms_per_image"]), ms, 10))
        out.append(Row(NAME, f"{name} uJ an image", float(network["bitfusion_uJ_per_image"]), uj, 10))
        speedups.append(float(network["eyeriss16b_ms_per_image"]) / ms)
        reductions.append(float(network["eyeriss16b_uJ_per_image"]) / uj)
    out.append(Row(NAME, "geomean speedup over Eyeriss", _geomean(networks, "speedup"), _mean(speedups), 3))
    out.append(Row(NAME, "geomean energy under Eyeriss", _geomean(networks, "energy_reduction"), _mean(reductions), 3))
    return out


def _layer_rows(
    network: str, names: list[tuple[int, str]], published: list[dict[str, str]], figures: Figures
) -> list[Row]:
    """Cycles of every layer, stall-free and with stalls."""
    out = []
    left = list(published)
    for i, name in names:
        ours, stalled = float(figures.compute_cycles[i]) * IMAGES, float(figures.cycles[i]) * IMAGES
        row = min((r for r in left if r["layer"] == name), key=_distance(ours, stalled))
        left.remove(row)
        out.append(Row(NAME, f"{network} {name} cycles", float(row["compute_cycles"]), ours, 0))
        out.append(Row(NAME, f"{network} {name} with stalls", float(row["cycles_batch16"]), stalled, 10))
    return out


def _distance(ours: float, stalled: float) -> Callable[[dict[str, str]], tuple[float, float]]:
    """Layers of one module share a name in the table; the nearest row is meant."""
    return lambda row: (abs(float(row["compute_cycles"]) - ours), abs(float(row["cycles_batch16"]) - stalled))


def _mean(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def _geomean(networks: list[dict[str, str]], key: str) -> float:
    return _mean([float(network[key]) for network in networks])
