"""Zero skipping: EIE's measured layers and Sparseloop's compute counts."""

import math
import re
from pathlib import Path

import numpy as np

from benchmarks.hardware.row import Row, read
from rlcompress.hw_models import load
from rlcompress.hw_models.array_fixed import interleaved
from rlcompress.hw_models.engine import evaluate
from rlcompress.hw_models.figures import Figures
from rlcompress.hw_models.network import Rules, prepare
from rlcompress.spec import GRANULARITIES, ChoiceBatch, LayerSpec, NetworkStructure

NAME = "sparse_skip"


def rows(reference: Path) -> list[Row]:
    """All checks of the zero-skipping description."""
    return eie_rows(reference) + sparseloop_rows(reference)


def sparse_figures(spec: LayerSpec, density: float) -> Figures:
    """Figures of one layer whose weights keep a share ``density``."""
    model = load(NAME)
    work = prepare(NetworkStructure([spec])).work(sparse_batch(density), Rules(model.description.residency))
    return evaluate(work, model.description)


def sparse_batch(density: float) -> ChoiceBatch:
    """One layer with 4-bit weights, a share ``density`` of which is not zero."""
    element = np.array([[GRANULARITIES.index("element" if density < 1 else "none")]])
    return ChoiceBatch(element, np.array([[density]]), np.array([[4]]), np.array([[16]]))


def eie_rows(reference: Path) -> list[Row]:
    """Time of nine layers.

    The paper's table of densities is rounded to a percent, and padding entries depend on where the zeros are, so the
    tolerance holds for the paper's own work (its theoretical time, which counts the padding) times our imbalance.
    The time from the rounded densities alone is printed too.
    """
    shapes = {_key(row["layer"]): row for row in read(reference, "eie_benchmarks")}
    out = []
    for row in read(reference, "eie_layers"):
        shape = shapes[_key(row["layer"])]
        spec = LayerSpec(
            name=_key(row["layer"]),
            kind="linear",
            out_channels=int(shape["outputs"]),
            in_channels=int(shape["inputs"]),
            input_density=float(shape["activation_density_pct"]) / 100,
        )
        density = float(shape["weight_density_pct"]) / 100
        actual, work = float(row["actual_us"]), float(row["theoretical_us"])
        out.append(Row(NAME, f"EIE {spec.name} us, paper's entries", actual, work * imbalance(spec, density), 15))
        ours = float(sparse_figures(spec, density).cycles[0]) / 800
        out.append(Row(NAME, f"EIE {spec.name} us, densities", actual, ours, None))
    return out


def imbalance(spec: LayerSpec, density: float) -> float:
    """Cycles over those of evenly spread entries."""
    model = load(NAME)
    work = prepare(NetworkStructure([spec])).work(sparse_batch(density), Rules(model.description.residency))
    use = interleaved(work, model.description, model.description.array)  # type: ignore[arg-type]
    return float(use.cycles[0] * use.peak[0] / use.working[0])


def _key(layer: str) -> str:
    return layer.replace("- ", "-")


def sparseloop_rows(reference: Path) -> list[Row]:
    """Effectual products of Sparseloop's stored results: computes times the operands' densities, rounded up.

    Densities are read from the stored occupancies of the problem's operands. Rounding to whole elements leaves an
    interval; where the counts at its ends differ, the published one has to lie between them.
    """
    cases = [row for row in read(reference, "timeloop_ref_summary") if row["case"].startswith("sparseloop/")]
    out = []
    for row in cases:
        if not row["actual_computes"]:
            continue
        name = row["case"].split("/")[1]
        problem = [case["mapping"] for case in cases if case["case"].split("/")[1][:4] == name[:4]]
        low, high = (_computes(int(row["computes"]), density) for density in _densities(problem))
        published = int(row["actual_computes"])
        out.append(Row(NAME, f"Sparseloop {name} computes", published, min(max(published, low), high), 0))
    return out


def _computes(total: int, density: float) -> int:
    spec = LayerSpec(name="dot", kind="linear", out_channels=total, in_channels=1)
    return int(sparse_figures(spec, density).effectual_macs[0])


def _densities(mappings: list[str]) -> tuple[float, float]:
    """Smallest and largest product of the operands' densities that all occupancies of a problem allow."""
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for name, size, stored in re.findall(r"(A|B|Weights|Inputs):(\d+) \((\d+)\)", " ".join(mappings)):
        if stored < size or len(stored) < len(size):
            low[name] = max(low.get(name, 0.0), (int(stored) - 1) / int(size))
            high[name] = min(high.get(name, 1.0), int(stored) / int(size))
    return math.prod(low.values()) * (1 + 1e-12), math.prod(high.values())
