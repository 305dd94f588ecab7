"""What may be changed of a plan, one layer at a time, and which of it is worth a look."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlcompress.planning.batches import repeated
from rlcompress.planning.space import ChoiceSpace
from rlcompress.spec import GRANULARITIES, ChoiceBatch

Key = tuple[object, ...]
"""A layer, the fields that change and how many alternatives there are."""

Fronts = dict[Key, NDArray[np.intp]]
"""Which alternatives are worth a look."""

Columns = dict[str, NDArray[Any]]
"""Values [O] that O alternatives give to one layer, by field of `ChoiceBatch`."""

_FILTER = GRANULARITIES.index("filter")
_MOST_CHOICES = 1 << 18  # of layers, in a batch, which bounds its memory


class Part(NamedTuple):
    """The alternatives of one visit in a batch."""

    visit: int
    key: Key
    rows: slice


class Alternatives:
    """The visits of a sweep over a network's layers, and what each may make of a plan.

    Attributes:
        visits: how many there are: of every layer, with its pruning and weight width, and of every stored tensor, with
            its width, at the first layer that reads it.
    """

    def __init__(self, space: ChoiceSpace) -> None:
        self._space = space
        self._visits: list[tuple[int, Callable[[ChoiceBatch, int], Columns]]] = []
        for layer, reader in enumerate(space.reader):
            self._visits.append((layer, self._prunings))
            if reader == layer:
                self._visits.append((layer, self._activations))
        self.visits = len(self._visits)

    def of(
        self, plan: ChoiceBatch, visits: Sequence[int], fronts: Fronts | None = None
    ) -> Iterator[tuple[list[Part], ChoiceBatch]]:
        """Policies that visits, by their numbers, may make of a plan, in batches of as many as memory allows.

        Args:
            plan: one policy.
            visits: numbers of visits.
            fronts: of those visits that it knows, other alternatives are left out.
        """
        for changes in _split([self._change(plan, visit, fronts or {}) for visit in visits], self._most):
            batch = repeated(plan, sum(change.size for change in changes))
            parts, start = [], 0
            for change in changes:
                part = slice(start, start + change.size)
                for name, values in change.columns.items():
                    getattr(batch, name)[part, change.layer] = values
                parts.append(Part(change.visit, change.key, part))
                start = part.stop
            yield parts, self._space.snapped(batch)

    @property
    def _most(self) -> int:
        return _MOST_CHOICES // len(self._space.layers)

    def _change(self, plan: ChoiceBatch, visit: int, fronts: Fronts) -> "_Change":
        layer, columns_of = self._visits[visit]
        columns = columns_of(plan, layer)
        key = (layer, *columns, _count(columns))
        if key in fronts:
            columns = {name: values[fronts[key]] for name, values in columns.items()}
        return _Change(visit, layer, key, columns, _count(columns))

    def _prunings(self, plan: ChoiceBatch, layer: int) -> Columns:
        """Every pruning with every weight width of one layer; a group goes along with its first layer."""
        granularity, keep = self._space.options(layer)
        if plan.granularity[0, layer] == _FILTER and self._space.leader[layer] != layer:
            granularity, keep = plan.granularity[0, [layer]], plan.keep_ratio[0, [layer]]
        bits = np.arange(self._space.min_bits, self._space.max_bits + 1)
        return {
            "granularity": np.repeat(granularity, len(bits)),
            "keep_ratio": np.repeat(keep, len(bits)),
            "weight_bits": np.tile(bits, len(granularity)),
        }

    def _activations(self, _plan: ChoiceBatch, _layer: int) -> Columns:
        """Every width of the tensor that a layer is the first to read."""
        return {"activation_bits": np.arange(self._space.min_bits, self._space.max_bits + 1)}


class _Change(NamedTuple):
    visit: int
    layer: int
    key: Key
    columns: Columns
    size: int


def _count(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _split(changes: Sequence[_Change], most: int) -> Iterator[list[_Change]]:
    """Changes in lists of at most so many alternatives together, or of one change."""
    part: list[_Change] = []
    for change in changes:
        if part and sum(other.size for other in part) + change.size > most:
            yield part
            part = []
        part.append(change)
    yield part
