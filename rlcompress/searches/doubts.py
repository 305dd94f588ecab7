"""Warnings before a search about inputs that are valid but probably not what was meant."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from rlcompress.data import DataSplits
from rlcompress.envs import TARGETS, Problem
from rlcompress.errors import RlcompressWarning
from rlcompress.export import refusals
from rlcompress.files import LimitError, parse_json, read_text
from rlcompress.hw_models import TableModel, fixed_widths, unmeasured
from rlcompress.network.trace import TracedNetwork
from rlcompress.spec import ENTRY_BITS, GRANULARITIES, ChoiceBatch

_CHANCES = 1.5  # times chance; an accuracy up to this looks untrained
_REMEMBERED = 99.9  # percent right
_MANY_IMAGES = 1000
_GRID_VALUES = 256
_FEW_IMAGES = 64  # what the moments are corrected on
_LEAST_WEIGHTS = 2048  # of a layer; random weights of so many take more values than an 8-bit grid has
_MAX_FILE_BYTES = 1_000_000


def warn_of_doubts(problem: Problem, data: DataSplits, out: Path | None) -> None:
    """Issue a `RlcompressWarning` for each doubt about a problem's network, widths, calibration and test images.

    Args:
        problem: set up, nothing evaluated yet.
        data: its images.
        out: the run folder, whose neighbours may have looked at the same test images.
    """
    least = problem.settings.min_bits
    doubts = (
        *problem.network.doubts,
        *_untrained(problem, data),
        *_remembered(problem, data),
        *_on_a_grid(problem.network),
        *_not_exported(problem.network),
        *_few_images(problem, data),
        *fixed_widths(
            problem.hardware, weight_bits=ENTRY_BITS if problem.space.index_bits else least, activation_bits=least
        ),
        *unmeasured(
            problem.hardware,
            ((name, ratio) for name in problem.space.granularities for ratio in problem.space.ratios(name)),
        ),
        *_unrewarded(problem),
        *_tested_before(out, problem.network.name, data.name),
    )
    for doubt in doubts:
        warnings.warn(doubt, RlcompressWarning, stacklevel=3)


def _unrewarded(problem: Problem) -> Iterator[str]:
    """Granularities that a description gives nothing for; `unmeasured` tells those that a table does not have."""
    space, hardware, target = problem.space, problem.hardware, problem.settings.target

    def cost(policy: ChoiceBatch) -> float:
        return float(TARGETS[target](hardware, problem.network.structure, space.snapped(policy))[0])

    dense = cost(space.uniform(space.max_bits))
    for granularity in () if isinstance(hardware, TableModel) else space.granularities:
        if granularity == "none" or not any(granularity in space.allowed(i) for i in range(len(space.layers))):
            continue
        pruned = space.uniform(space.max_bits)
        pruned.granularity[:], pruned.keep_ratio[:] = GRANULARITIES.index(granularity), min(space.ratios(granularity))
        if cost(pruned) >= dense:
            yield f"{hardware.name} saves no {target} by {granularity!r} pruning: leave it out of --granularities"


def _untrained(problem: Problem, data: DataSplits) -> Iterator[str]:
    metric, dense = problem.evaluator.metric, problem.evaluator.dense
    if metric.name == "top1" and data.classes and dense.metric <= _CHANCES * 100.0 / data.classes:
        yield (
            f"the pretrained network names {dense.metric:.1f} % of the search images right, hardly more than chance "
            f"among {data.classes} classes; check its weights and the data's mean and std"
        )


def _remembered(problem: Problem, data: DataSplits) -> Iterator[str]:
    metric, dense = problem.evaluator.metric, problem.evaluator.dense
    if metric.name == "top1" and data.classes and dense.images >= _MANY_IMAGES and dense.metric >= _REMEMBERED:
        yield (
            f"the pretrained network names {dense.metric:.1f} % of the search images right, so it remembers them, and "
            "may lose several times as much on others; give images that it was not trained on, or let "
            "NAME?search=moved rotate every second one a little"
        )


def _on_a_grid(network: TracedNetwork) -> Iterator[str]:
    layers = []
    for name in network.layers:
        weight = network.layer(name).weight.detach().flatten()
        if weight.numel() >= _LEAST_WEIGHTS and weight.unique().numel() <= _GRID_VALUES:
            layers.append(name)
    if layers:
        more = f" and {len(layers) - 1} more layers" if len(layers) > 1 else ""
        yield (
            f"the weights of {layers[0]!r}{more} take at most {_GRID_VALUES} values, so they are quantized already; "
            "drops are measured against them, not against the original network"
        )


def _not_exported(network: TracedNetwork) -> Iterator[str]:
    found = refusals(network, "onnx")
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        name, why = next(iter(found.items()))
        yield f"networks that are found cannot be exported to ONNX because of {name!r}{more} ({why})"


def _few_images(problem: Problem, data: DataSplits) -> Iterator[str]:
    targets = data.calibration.targets
    mapped = targets is not None and targets.ndim > 1  # every pixel is an output, so that one image holds many
    if problem.settings.repair != "t0" and not mapped and len(data.calibration) < _FEW_IMAGES:
        yield (
            f"repair has {len(data.calibration)} calibration images to go by and may fit their chance; give at least "
            f"{_FEW_IMAGES}, or --repair t0, which looks at none"
        )


def _tested_before(out: Path | None, network: str, data: str) -> Iterator[str]:
    """Neighbouring runs that have looked at the same test images."""
    if out is None or not out.absolute().parent.is_dir():
        return
    before = [
        folder.name
        for folder in sorted(out.absolute().parent.iterdir())
        if folder.name != out.absolute().name and _finished_on(folder, network, data)
    ]
    if before:
        more = f" and {len(before) - 1} more" if len(before) > 1 else ""
        yield (
            f"the test images of {data} were looked at by run {before[0]!r}{more} already; whoever chooses "
            "among runs by their test figures needs other images for an honest one"
        )


def _finished_on(folder: Path, network: str, data: str) -> bool:
    if not (folder / "result.json").exists():
        return False
    try:
        settings = parse_json(read_text(folder / "run.json", _MAX_FILE_BYTES))["settings"]
        return bool(settings["network"] == network and re.split("[:?]", str(settings["data"]))[0] == data)
    except (OSError, LimitError, KeyError, TypeError):
        return False
