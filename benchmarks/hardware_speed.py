"""How fast the hardware models are.

    python -m benchmarks.hardware_speed

Prints, for the headline presets on ResNet-20: a single known policy (at most 10 us), a batch of 1,024 known policies
(at most 1 us a policy), new policies of known layers, new policies, and a new shape (median at most 5 ms). Exits 1 if
one of the three limits is missed. Where zigzag-dse is installed, it is timed on the same layers.
"""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.networks.classic import resnet20
from benchmarks.networks.edge import mobilenet_v2
from benchmarks.zigzag import compare
from rlcompress.hw_models import HardwareModel, load
from rlcompress.spec import GRANULARITIES, ChoiceBatch, LayerChoice, NetworkStructure

PRESETS = ("scalable_sparse_16x32", "bitfusion_16x32", "npu_int8")
POLICIES = 1024


def main() -> int:
    """Measure and print; the exit status."""
    missed = 0
    for name in PRESETS:
        figures = measure(load(name))
        print(name)
        for label, (value, unit, limit) in figures.items():
            late = limit is not None and value > limit
            missed += late
            bound = "" if limit is None else f"   (at most {limit:g} {unit}{', MISSED' if late else ''})"
            print(f"  {label:44} {value:9.3f} {unit}{bound}")
    convolutions = [dataclasses.replace(spec, inputs=()) for spec in resnet20() if spec.kind == "conv"]
    print(compare([convolutions[i] for i in (1, 7, 9)]))
    return 1 if missed else 0


def measure(model: HardwareModel) -> dict[str, tuple[float, str, float | None]]:
    """Label -> value, unit, limit."""
    structure = NetworkStructure(resnet20())
    batch = random_batch(structure, 0)
    policy = {name: LayerChoice(weight_bits=4) for name in structure.layers}
    model.cost(structure, policy)
    model.costs(structure, batch)
    single = best(lambda: model.cost(structure, policy), 2000) * 1e6
    known = best(lambda: model.costs(structure, batch), 50) * 1e6 / POLICIES
    mixed = [crossed(batch, seed) for seed in range(5)]
    recombined = min(once(lambda b=b: model.costs(structure, b)) for b in mixed) * 1e6 / POLICIES  # type: ignore[misc]
    new = once(lambda: model.costs(structure, random_batch(structure, 1))) * 1e6 / POLICIES
    wide = NetworkStructure(mobilenet_v2())
    wide_batch = random_batch(wide, 2)
    model.costs(wide, wide_batch)
    return {
        "known policy": (single, "us", 10),
        "batch of 1,024 known policies, each": (known, "us", 1),
        "the same for MobileNetV2 (53 layers)": (
            best(lambda: model.costs(wide, wide_batch), 50) * 1e6 / POLICIES,
            "us",
            None,
        ),
        "batch of recombined known layers, each": (recombined, "us", None),
        "batch of new policies, each": (new, "us", None),
        "new shape, median": (new_shape_ms(model), "ms", 5),
    }


def new_shape_ms(model: HardwareModel) -> float:
    """Median time of a layer that was never seen."""
    spec = resnet20()[3]
    times = []
    for k in range(40):
        layer = (dataclasses.replace(spec, out_channels=17 + k, strata=(), inputs=()),)
        times.append(once(lambda layer=layer: model.cost(layer, {spec.name: LayerChoice()})))  # type: ignore[misc]
    return statistics.median(times) * 1e3


def random_batch(structure: NetworkStructure, seed: int) -> ChoiceBatch:
    """Random choices of everything but filters."""
    random = np.random.default_rng(seed)
    shape = (POLICIES, len(structure.layers))
    granularity = random.integers(0, GRANULARITIES.index("filter"), shape)
    keep = np.where(granularity == 0, 1.0, random.integers(4, 20, shape) * 0.05)
    return ChoiceBatch(granularity, keep, random.integers(2, 9, shape), random.integers(2, 9, shape))


def crossed(batch: ChoiceBatch, seed: int) -> ChoiceBatch:
    """Children of the batch's policies: a policy up to a layer, its neighbour after it."""
    cut = np.random.default_rng(seed).integers(1, batch.shape[1], (POLICIES, 1))
    first = np.arange(batch.shape[1]) < cut
    names = ("granularity", "keep_ratio", "weight_bits", "activation_bits")
    return ChoiceBatch(*(np.where(first, getattr(batch, n), np.roll(getattr(batch, n), 1, 0)) for n in names))


def once(run: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def best(run: Callable[[], object], times: int) -> float:
    """Seconds of the quickest of several calls."""
    return min(once(run) for _ in range(times))


if __name__ == "__main__":
    sys.exit(main())
