"""`Knapsack`: the cheapest policies for every error, exact where costs and errors add up over layers."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rlcompress.planning.batches import repeated, row, same
from rlcompress.planning.planner import undominated
from rlcompress.planning.space import ChoiceSpace
from rlcompress.spec import GRANULARITIES, ChoiceBatch

Figure = Callable[[ChoiceBatch], NDArray[np.float64]]
Options = tuple[NDArray[np.float64], NDArray[np.float64], ChoiceBatch]
"""Errors [O], costs [O] and the choices of the layers concerned, as O policies."""

_BINS = 4096
_FILTER = GRANULARITIES.index("filter")


class Knapsack:
    """Dynamic programming over the layers, on tables of what each choice alone changes (a multiple-choice knapsack).

    Units decide independently: the layers that read one tensor share its width, and each coupling group's removal of
    filters is a unit of its own. The tables are measured around dense 8 bits, so that effects between units are lost;
    what a plan really costs is for the caller to ask.

    Args:
        space: what may be chosen.
        cost: of B policies, not its logarithm: [B].
        error: predicted error of B policies, a sum over causes: [B].
    """

    def __init__(self, space: ChoiceSpace, cost: Figure, error: Figure) -> None:
        self._space, self._cost, self._error = space, cost, error
        self._base = space.snapped(space.uniform(space.max_bits))
        self._base_error = float(error(self._base)[0])
        readers = [np.flatnonzero(space.reader == first) for first in np.unique(space.reader)]
        units = [self._reader_unit(layers) for layers in readers]
        leaders = [i for i in range(len(space.layers)) if _FILTER in space.options(i)[0]]
        self._units = units + [self._filter_unit(leader) for leader in leaders]

    def plans(self, limits: NDArray[np.float64]) -> list[ChoiceBatch]:
        """The cheapest policy within each limit of the error, by the tables; without repetition, ascending."""
        grid = max(float(limits.max()) - self._base_error, 1e-12) / _BINS
        best, chosen = np.zeros(_BINS + 1), []
        for errors, costs, _ in self._units:
            steps = np.ceil(np.maximum(errors, 0.0) / grid - 1e-9).astype(np.int64)
            table = np.full((len(costs), _BINS + 1), np.inf)
            for option, step in enumerate(steps):
                if step <= _BINS:
                    table[option, step:] = best[: _BINS + 1 - step] + costs[option]
            chosen.append((table.argmin(axis=0), steps))
            best = table.min(axis=0)
        plans: list[ChoiceBatch] = []
        for limit in np.sort(limits):
            plan = self._traced(chosen, int(max(0.0, limit - self._base_error) / grid))
            if not plans or not same(plan, plans[-1]):
                plans.append(plan)
        return plans

    def _traced(self, chosen: list[tuple[NDArray[np.int64], NDArray[np.int64]]], left: int) -> ChoiceBatch:
        plan = repeated(self._base, 1)
        left = min(left, _BINS)
        removals = []
        for (options, steps), (_, _, choices) in zip(reversed(chosen), reversed(self._units), strict=True):
            option = int(options[left])
            left -= int(steps[option])
            picked = row(choices, option)
            removed = picked.granularity == _FILTER
            if removed.any():
                removals.append((removed, picked))
                continue
            for name in ChoiceBatch.__slots__:
                ours, base = getattr(picked, name), getattr(self._base, name)
                np.copyto(getattr(plan, name), ours, where=ours != base)
        for removed, picked in removals:  # decides over what the layer alone would do
            np.copyto(plan.granularity, picked.granularity, where=removed)
            np.copyto(plan.keep_ratio, picked.keep_ratio, where=removed)
        return self._space.snapped(plan)

    def _reader_unit(self, layers: NDArray[np.int64]) -> Options:
        """For every width of the tensor, the layers' own best combinations; widths are alternatives."""
        parts = []
        for bits in range(self._space.min_bits, self._space.max_bits + 1):
            shared = repeated(self._base, 1)
            shared.activation_bits[:, layers] = bits
            shared = self._space.snapped(shared)
            unit = self._options(shared, self._base)
            for layer in layers:
                unit = _combined(unit, self._layer_options(shared, int(layer)), self._base)
            parts.append(unit)
        return _undominated(_joined(parts))

    def _layer_options(self, shared: ChoiceBatch, layer: int) -> Options:
        granularity, keep = self._space.options(layer)
        own = granularity != _FILTER
        granularity, keep = granularity[own], keep[own]
        bits = np.arange(self._space.min_bits, self._space.max_bits + 1)
        batch = repeated(shared, len(granularity) * len(bits))
        batch.granularity[:, layer] = np.repeat(granularity, len(bits))
        batch.keep_ratio[:, layer] = np.repeat(keep, len(bits))
        batch.weight_bits[:, layer] = np.tile(bits, len(granularity))
        return _undominated(self._options(self._space.snapped(batch), shared))

    def _filter_unit(self, leader: int) -> Options:
        granularity, keep = self._space.options(leader)
        removal = (granularity == _FILTER) | (keep == 1.0)
        batch = repeated(self._base, int(removal.sum()))
        batch.granularity[:, leader], batch.keep_ratio[:, leader] = granularity[removal], keep[removal]
        return _undominated(self._options(self._space.snapped(batch), self._base))

    def _options(self, batch: ChoiceBatch, base: ChoiceBatch) -> Options:
        """What choices change against a base policy."""
        return self._error(batch) - self._error(base), self._cost(batch) - self._cost(base), batch


def _combined(first: Options, second: Options, base: ChoiceBatch) -> Options:
    """Every pair of options of two parts of a unit."""
    a, b = (index.ravel() for index in np.indices((len(first[0]), len(second[0]))))
    merged = {}
    for name in ChoiceBatch.__slots__:
        ours, theirs = getattr(first[2], name)[a], getattr(second[2], name)[b]
        merged[name] = np.where(theirs != getattr(base, name), theirs, ours)
    return _undominated((first[0][a] + second[0][b], first[1][a] + second[1][b], ChoiceBatch(**merged)))


def _joined(parts: list[Options]) -> Options:
    arrays = [np.concatenate([getattr(part[2], name) for part in parts]) for name in ChoiceBatch.__slots__]
    errors, costs = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return errors, costs, ChoiceBatch(*arrays)


def _undominated(options: Options) -> Options:
    """The options that none beats in both error and cost, by rising error."""
    errors, costs, batch = options
    kept = undominated(errors, costs)
    return errors[kept], costs[kept], ChoiceBatch(*(getattr(batch, name)[kept] for name in ChoiceBatch.__slots__))
