"""`Row`: one published figure held against ours, and helpers that read the reference files."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rlcompress.hw_models import HardwareModel, load
from rlcompress.hw_models.engine import evaluate
from rlcompress.hw_models.figures import Figures
from rlcompress.hw_models.network import Rules, prepare
from rlcompress.spec import ChoiceBatch, LayerSpec, NetworkStructure


@dataclass(frozen=True, slots=True)
class Row:
    """A check.

    Attributes:
        description: name of the hardware description.
        figure: what is compared.
        published: the reference's figure.
        ours: the model's.
        tolerance_pct: 0 for exact, None for a row that informs only.
    """

    description: str
    figure: str
    published: float
    ours: float
    tolerance_pct: float | None

    @property
    def error_pct(self) -> float:
        """Signed error relative to the published figure."""
        return (self.ours / self.published - 1) * 100 if self.published else 100.0 * (self.ours != 0)

    @property
    def missed(self) -> bool:
        """Whether the tolerance is missed (1e-6 % is exact)."""
        return self.tolerance_pct is not None and abs(self.error_pct) > max(self.tolerance_pct, 1e-6)


def read(reference: Path, name: str) -> list[dict[str, str]]:
    """Rows of a reference CSV."""
    with (reference / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def with_batch(name: str, images: int) -> HardwareModel:
    """A built-in model with several images in flight."""
    return HardwareModel(load(name).description.model_copy(update={"batch": images}))


def figures_of(
    model: HardwareModel, specs: tuple[LayerSpec, ...], widths: Mapping[str, tuple[int, int]] | tuple[int, int] = (8, 8)
) -> Figures:
    """Figures of a dense network, layer by layer; widths below 2 bits are allowed, unlike in a policy."""
    structure = NetworkStructure(specs)
    bits = [widths if isinstance(widths, tuple) else widths[name] for name in structure.layers]
    batch = dense_batch(bits)
    rules = Rules(model.description.residency, fuse=model.description.fuse)
    return evaluate(prepare(structure).work(batch, rules), model.description)


def dense_batch(bits: list[tuple[int, int]]) -> ChoiceBatch:
    """One policy that only sets widths (weights, activations)."""
    zeros = np.zeros((1, len(bits)), np.int64)
    widths = np.array([bits], np.int64)
    return ChoiceBatch(zeros, np.ones((1, len(bits))), widths[..., 0], widths[..., 1])


def computing(specs: tuple[LayerSpec, ...]) -> Iterator[tuple[int, LayerSpec]]:
    """Positions and specs of the operators that hold weights."""
    return ((i, spec) for i, spec in enumerate(specs) if spec.compressible)
