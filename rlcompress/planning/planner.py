"""`Planner`: policies that trade cost against the proxy's error, without looking at an image."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rlcompress.planning.proxy import Proxy
from rlcompress.planning.space import ChoiceSpace
from rlcompress.spec import GRANULARITIES, ChoiceBatch

LogCost = Callable[[ChoiceBatch], NDArray[np.float64]]
Error = Callable[[ChoiceBatch], NDArray[np.float64]]

_FILTER = GRANULARITIES.index("filter")
_SWEEPS = 4
_WEIGHTS = np.geomspace(300.0, 0.03, 40)  # of the relative proxy error against the logarithm of the cost
_HALVINGS = 4
_FILLING_SWEEPS = 2
_FORBIDDEN = 1e3  # outweighs any saving


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

    def within(self, limit: float, error: Error | None = None) -> ChoiceBatch:
        """A cheap plan whose error is at most ``limit``, or the most careful plan if there is none.

        The weight of the path is refined by bisection, and what it leaves of the limit is spent by a last descent that
        compares costs alone among the choices within the limit: the gaps of the path's convex hull.

        Args:
            limit: of the error.
            error: relative error of B policies: [B]; None for the proxy's.
        """
        error = error or self.error
        allowed = [pair for pair in self._weighted_path if error(pair[0])[0] <= limit]
        plan, high = (allowed or self._weighted_path[:1])[-1]
        low = high / 3.0
        for _ in range(_HALVINGS):
            weight = float(np.sqrt(low * high))
            trial = self.descend(plan, weight, error)
            if error(trial)[0] <= limit:
                plan, high = trial, weight
            else:
                low = weight
        return self.filled(plan, limit, error)

    def filled(self, plan: ChoiceBatch, limit: float, error: Error | None = None) -> ChoiceBatch:
        """The plan made cheaper, one layer after the other, as long as its error stays at most ``limit``."""
        measure = error or self.error

        def objective(batch: ChoiceBatch) -> NDArray[np.float64]:
            return self.log_cost(batch) + _FORBIDDEN * np.maximum(0.0, measure(batch) / limit - 1.0)

        return self._minimised(plan, objective, _FILLING_SWEEPS)

    def descend(self, plan: ChoiceBatch, weight: float, error: Error | None = None) -> ChoiceBatch:
        """The plan changed one layer after the other to make ln(cost) + weight x error less, until nothing changes."""
        measure = error or self.error
        return self._minimised(plan, lambda batch: self.log_cost(batch) + weight * measure(batch))

    def _minimised(self, plan: ChoiceBatch, objective: LogCost, sweeps: int = _SWEEPS) -> ChoiceBatch:
        for _ in range(sweeps):
            before = plan
            for layer in range(len(self.space.layers)):
                for variants in (self._prunings, self._activations):
                    batch = variants(plan, layer)
                    plan = row(batch, int(np.argmin(objective(batch))))
            if same(plan, before):
                break
        return plan

    def _prunings(self, plan: ChoiceBatch, layer: int) -> ChoiceBatch:
        """The plan with every pruning and weight width of one layer; a group goes along with its first layer."""
        granularity, keep = self.space.options(layer)
        if plan.granularity[0, layer] == _FILTER and self.space.leader[layer] != layer:
            granularity, keep = plan.granularity[0, [layer]], plan.keep_ratio[0, [layer]]
        bits = np.arange(self.space.min_bits, self.space.max_bits + 1)
        count = len(granularity) * len(bits)
        batch = repeated(plan, count)
        batch.granularity[:, layer] = np.repeat(granularity, len(bits))
        batch.keep_ratio[:, layer] = np.repeat(keep, len(bits))
        batch.weight_bits[:, layer] = np.tile(bits, len(granularity))
        return self.space.snapped(batch)

    def _activations(self, plan: ChoiceBatch, layer: int) -> ChoiceBatch:
        if self.space.reader[layer] != layer:
            return plan
        bits = np.arange(self.space.min_bits, self.space.max_bits + 1)
        batch = repeated(plan, len(bits))
        batch.activation_bits[:, layer] = bits
        return self.space.snapped(batch)


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
