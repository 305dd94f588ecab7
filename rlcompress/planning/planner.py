"""`Planner`: policies that trade cost against the proxy's error, without looking at an image."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rlcompress.planning.proxy import Proxy
from rlcompress.planning.space import ChoiceSpace
from rlcompress.spec import GRANULARITIES, ChoiceBatch

LogCost = Callable[[ChoiceBatch], NDArray[np.float64]]

_FILTER = GRANULARITIES.index("filter")
_SWEEPS = 4
_WEIGHTS = np.geomspace(300.0, 0.03, 40)  # of the relative proxy error against the logarithm of the cost


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
        plans: list[ChoiceBatch] = []
        plan = self.space.snapped(self.space.uniform(self.space.max_bits))
        for weight in _WEIGHTS:
            plan = self._descend(plan, weight)
            if not plans or not same(plan, plans[-1]):
                plans.append(plan)
        return plans

    def error(self, batch: ChoiceBatch) -> NDArray[np.float64]:
        """Predicted logit error relative to the dense logits' variance: [B]."""
        return self.proxy.predict(batch) / self._variance

    def _descend(self, plan: ChoiceBatch, weight: float) -> ChoiceBatch:
        for _ in range(_SWEEPS):
            before = plan
            for layer in range(len(self.space.layers)):
                for variants in (self._prunings, self._activations):
                    batch = variants(plan, layer)
                    plan = row(batch, int(np.argmin(self.log_cost(batch) + weight * self.error(batch))))
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
        batch = _repeated(plan, count)
        batch.granularity[:, layer] = np.repeat(granularity, len(bits))
        batch.keep_ratio[:, layer] = np.repeat(keep, len(bits))
        batch.weight_bits[:, layer] = np.tile(bits, len(granularity))
        return self.space.snapped(batch)

    def _activations(self, plan: ChoiceBatch, layer: int) -> ChoiceBatch:
        if self.space.reader[layer] != layer:
            return plan
        bits = np.arange(self.space.min_bits, self.space.max_bits + 1)
        batch = _repeated(plan, len(bits))
        batch.activation_bits[:, layer] = bits
        return self.space.snapped(batch)


def row(batch: ChoiceBatch, i: int) -> ChoiceBatch:
    """Policy ``i`` alone, as a batch of one."""
    part = slice(i, i + 1)
    return ChoiceBatch(
        batch.granularity[part], batch.keep_ratio[part], batch.weight_bits[part], batch.activation_bits[part]
    )


def same(a: ChoiceBatch, b: ChoiceBatch) -> bool:
    """Whether two batches hold equal choices."""
    return all(
        np.array_equal(getattr(a, key), getattr(b, key))
        for key in ("granularity", "keep_ratio", "weight_bits", "activation_bits")
    )


def _repeated(plan: ChoiceBatch, count: int) -> ChoiceBatch:
    return ChoiceBatch(
        plan.granularity.repeat(count, 0),
        plan.keep_ratio.repeat(count, 0),
        plan.weight_bits.repeat(count, 0),
        plan.activation_bits.repeat(count, 0),
    )
