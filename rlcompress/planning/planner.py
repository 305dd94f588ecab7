"""`Planner`: policies that trade cost against the proxy's error, without looking at an image."""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcompress.planning.proxy import Proxy
from rlcompress.planning.space import ChoiceSpace
from rlcompress.spec import GRANULARITIES, ChoiceBatch

Floats = NDArray[np.float64]
LogCost = Callable[[ChoiceBatch], Floats]
Error = Callable[[ChoiceBatch], Floats]
Columns = dict[str, NDArray[Any]]
"""Values [O] that O alternatives give to one layer, by field of `ChoiceBatch`."""

Visit = tuple[int, Callable[[ChoiceBatch, int], Columns]]
"""A layer, and what gives its alternatives from a plan."""

Fronts = dict[tuple[object, ...], NDArray[np.intp]]
"""Which alternatives of a layer are worth a look, by the layer, the fields that change and how many there are."""

_FILTER = GRANULARITIES.index("filter")
_SWEEPS = 4
_WEIGHTS = np.geomspace(300.0, 0.03, 40)  # of the relative proxy error against the logarithm of the cost
_HALVINGS = 4
_LEAST_CHANGE = 1e-9  # of the cost's logarithm, or of the error's part; sums differ from batch to batch by less
_TINY = 1e-12  # relative error


class Planner:
    """Plans by minimising ln(cost) + weight x relative proxy error, one layer after the other until nothing changes.

    The cost is that of the whole network, so that what a layer's choice does to its neighbours (channels, residency
    on chip) is seen as far as changing one layer or one coupling group at a time can show it. The proxy adds up over
    layers. (A coordinate-wise Lagrangian; compare SPDY, Frantar & Alistarh, ICML 2022.)

    Args:
        space: what may be chosen.
        proxy: predicted logit error.
        log_cost: logarithm of the cost of B policies: [B].
        logit_variance: of the dense network, to make the proxy's error relative.
    """

    def __init__(self, space: ChoiceSpace, proxy: Proxy, log_cost: LogCost, logit_variance: float) -> None:
        self.space = space
        self.proxy = proxy
        self.log_cost = log_cost
        self._variance = logit_variance

    @cached_property
    def path(self) -> list[ChoiceBatch]:
        """Plans (one policy each) from the most careful to the boldest, without repetition."""
        return [plan for plan, _ in self._weighted_path]

    @cached_property
    def _weighted_path(self) -> list[tuple[ChoiceBatch, float]]:
        plans: list[tuple[ChoiceBatch, float]] = []
        plan = self.space.snapped(self.space.uniform(self.space.max_bits))
        for weight in _WEIGHTS:
            plan = self.descend(plan, float(weight))
            if not plans or not same(plan, plans[-1][0]):
                plans.append((plan, float(weight)))
        return plans

    def error(self, batch: ChoiceBatch) -> NDArray[np.float64]:
        """Predicted logit error relative to the dense logits' variance: [B]."""
        return self.proxy.predict(batch) / self._variance

    def within(self, limit: float, error: Error | None = None, fronts: Fronts | None = None) -> ChoiceBatch:
        """A cheap plan whose error is at most ``limit``, or the most careful plan if there is none.

        The weight of the path is refined by bisection, and what it leaves of the limit, the gaps of the path's convex
        hull, is spent by `filled`.

        Args:
            limit: of the error.
            error: relative error of B policies: [B]; None for the proxy's.
            fronts: what is known of alternatives under this error, and is found out now.
        """
        error, fronts = error or self.error, {} if fronts is None else fronts
        allowed = [pair for pair in self._weighted_path if error(pair[0])[0] <= limit]
        plan, high = (allowed or self._weighted_path[:1])[-1]
        low = high / 3.0
        for _ in range(_HALVINGS):
            weight = float(np.sqrt(low * high))
            trial = self.descend(plan, weight, error, fronts)
            if error(trial)[0] <= limit:
                plan, high = trial, weight
            else:
                low = weight
        return self.filled(plan, limit, error, fronts)

    def filled(
        self, plan: ChoiceBatch, limit: float, error: Error | None = None, fronts: Fronts | None = None
    ) -> ChoiceBatch:
        """The plan made cheaper, change by change, as long as its error stays at most ``limit``.

        Of all layers' changes each time the one is made that saves most of the cost's logarithm for the error that it
        adds. A plan beyond the limit is first brought within it by those that cost least for the error they take away,
        if any do.
        """
        error, fronts = error or self.error, {} if fronts is None else fronts
        while (filled := self._filled_once(plan, limit, error, fronts)) is not plan:
            plan = filled
        return plan

    def _filled_once(self, plan: ChoiceBatch, limit: float, error: Error, fronts: Fronts) -> ChoiceBatch:
        """The plan changed until it is within the limit, or until nothing that seemed worth a change still is.

        A visit's worth is what it was when it was last looked at; the most promising one is looked at again before its
        change is made (the lazy evaluation of Minoux, 1978).
        """
        cost, own = float(self.log_cost(plan)[0]), float(error(plan)[0])
        beyond = own > limit
        worths = dict.fromkeys(self._visits, np.inf)
        while worths and (own > limit or not beyond):
            visit = max(worths, key=lambda one: worths[one])
            batch, costs, errors = self._alternatives(plan, visit, error, fronts)
            worth = _worth(cost - costs, errors - own, own, limit)
            pick = int(np.argmax(worth))
            worths[visit] = float(worth[pick])
            if not np.isfinite(worth[pick]):
                del worths[visit]
            elif worth[pick] >= max(worths.values()):
                plan, cost, own = row(batch, pick), float(costs[pick]), float(errors[pick])
        return plan

    def descend(
        self, plan: ChoiceBatch, weight: float, error: Error | None = None, fronts: Fronts | None = None
    ) -> ChoiceBatch:
        """The plan changed one layer after the other to make ln(cost) + weight x error less, until nothing changes."""
        return self._minimised(plan, lambda costs, errors: costs + weight * errors, error or self.error, fronts)

    def _minimised(
        self,
        plan: ChoiceBatch,
        objective: Callable[[Floats, Floats], Floats],
        error: Error,
        fronts: Fronts | None,
    ) -> ChoiceBatch:
        """The plan changed one layer after the other to make the objective of logarithmic costs and errors less.

        Of a layer's alternatives those that others beat in both are not looked at again: what they were beaten in
        changes little with the rest of the plan.
        """
        fronts = {} if fronts is None else fronts
        unchanged = 0
        for visit in islice(cycle(self._visits), _SWEEPS * len(self._visits)):
            batch, costs, errors = self._alternatives(plan, visit, error, fronts)
            before, plan = plan, row(batch, int(np.argmin(objective(costs, errors))))
            unchanged = unchanged + 1 if same(plan, before) else 0
            if unchanged == len(self._visits):
                break
        return plan

    def _alternatives(
        self, plan: ChoiceBatch, visit: Visit, error: Error, fronts: Fronts
    ) -> tuple[ChoiceBatch, Floats, Floats]:
        """What a visit may make of a plan, without what is known to be beaten, with logarithmic costs and errors."""
        layer, variants = visit
        columns = variants(plan, layer)
        count = len(next(iter(columns.values())))
        key = (layer, *columns, count)
        kept = fronts.get(key, np.arange(count))
        batch = repeated(plan, len(kept))
        for name, values in columns.items():
            getattr(batch, name)[:, layer] = values[kept]
        batch = self.space.snapped(batch)
        costs, errors = self.log_cost(batch), error(batch)
        if key not in fronts:
            fronts[key] = undominated(errors, costs)
        return batch, costs, errors

    @cached_property
    def _visits(self) -> list[Visit]:
        """What a sweep decides, in its order."""
        visits: list[Visit] = []
        for layer, reader in enumerate(self.space.reader):
            visits.append((layer, self._prunings))
            if reader == layer:
                visits.append((layer, self._activations))
        return visits

    def _prunings(self, plan: ChoiceBatch, layer: int) -> Columns:
        """Every pruning with every weight width of one layer; a group goes along with its first layer."""
        granularity, keep = self.space.options(layer)
        if plan.granularity[0, layer] == _FILTER and self.space.leader[layer] != layer:
            granularity, keep = plan.granularity[0, [layer]], plan.keep_ratio[0, [layer]]
        bits = np.arange(self.space.min_bits, self.space.max_bits + 1)
        return {
            "granularity": np.repeat(granularity, len(bits)),
            "keep_ratio": np.repeat(keep, len(bits)),
            "weight_bits": np.tile(bits, len(granularity)),
        }

    def _activations(self, _plan: ChoiceBatch, _layer: int) -> Columns:
        """Every width of the tensor that a layer is the first to read."""
        return {"activation_bits": np.arange(self.space.min_bits, self.space.max_bits + 1)}


def _worth(gains: Floats, added: Floats, own: float, limit: float) -> Floats:
    """[O] how much changes save for the error that they add to ``own``; -inf where they are of no use.

    Beyond the limit those are of use that take error away, as far as it is too large; within it those that save
    something and stay there.
    """
    if own > limit:
        useful, worth = added < -_LEAST_CHANGE * own, gains / np.minimum(-added, own - limit).clip(_TINY)
    else:
        useful, worth = (own + added <= limit) & (gains > _LEAST_CHANGE), gains / added.clip(_TINY)
    return np.where(useful, worth, -np.inf)


def undominated(errors: Floats, costs: Floats) -> NDArray[np.intp]:
    """Those [O] alternatives that none beats in both error and cost, by rising error."""
    order = np.lexsort((costs, errors))
    least = np.minimum.accumulate(np.concatenate([[np.inf], costs[order]]))[:-1]
    return order[costs[order] < least]


def row(batch: ChoiceBatch, i: int) -> ChoiceBatch:
    """Policy ``i`` alone, as a batch of one."""
    part = slice(i, i + 1)
    return ChoiceBatch(*(getattr(batch, name)[part] for name in ChoiceBatch.__slots__))


def same(a: ChoiceBatch, b: ChoiceBatch) -> bool:
    """Whether two batches hold equal choices."""
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ChoiceBatch.__slots__)


def repeated(plan: ChoiceBatch, count: int) -> ChoiceBatch:
    """``count`` copies of a batch of one; arrays of its own."""
    return ChoiceBatch(*(getattr(plan, name).repeat(count, 0) for name in ChoiceBatch.__slots__))


def joined(policies: Sequence[ChoiceBatch]) -> ChoiceBatch:
    """Policies one after the other."""
    return ChoiceBatch(*(np.concatenate([getattr(p, name) for p in policies]) for name in ChoiceBatch.__slots__))
