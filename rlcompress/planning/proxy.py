"""`Proxy`: the logit error that a policy is predicted to cause, from the sensitivity table."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlcompress.planning.sensitivity import SensitivityRow
from rlcompress.planning.space import ChoiceSpace
from rlcompress.spec import GRANULARITIES, KEEP_RATIO_STEP, ChoiceBatch

_STEPS = round(1 / KEEP_RATIO_STEP)


class Proxy:
    """Sum over layers and factors of the logit mean squared errors that each causes alone.

    Errors between measured keep ratios and bits are interpolated linearly in their square root; a keep ratio of 1
    causes none.

    Args:
        rows: the sensitivity table.
        space: the layers and ties that it was measured for.
    """

    def __init__(self, rows: Sequence[SensitivityRow], space: ChoiceSpace) -> None:
        layers = [spec.name for spec in space.layers]
        self.weight = np.zeros((len(layers), 9))
        """[L, bits] error of rounding the layer's weights."""
        self.activation = np.zeros((len(layers), 9))
        """[L, bits] error of rounding the tensor that the layer reads; 0 where another layer decides."""
        self.pruning = np.zeros((len(layers), len(GRANULARITIES), _STEPS + 1))
        """[L, granularity, keep ratio / step] error of pruning; 0 where another layer decides."""
        curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for row in rows:
            curves.setdefault((row.layer, row.factor), []).append((row.value, row.logit_mse))
        for (layer, factor), points in curves.items():
            i = layers.index(layer)
            if factor == "weight_bits":
                self.weight[i] = _curve(points, np.arange(9.0))
            elif factor == "activation_bits":
                self.activation[i] = _curve(points, np.arange(9.0))
            else:
                ratios = np.arange(_STEPS + 1.0) * KEEP_RATIO_STEP
                self.pruning[i, GRANULARITIES.index(factor)] = _curve([*points, (1.0, 0.0)], ratios)

    def by_factor(self, batch: ChoiceBatch) -> NDArray[np.float64]:
        """Predicted logit mean squared error of each cause alone: [B, 3 L].

        The causes are the rounding of every layer's weights, of the tensor that it reads, and its pruning, in this
        order.
        """
        layer = np.arange(batch.shape[1])
        steps = np.rint(batch.keep_ratio / KEEP_RATIO_STEP).astype(np.int64)
        pruning = self.pruning[layer, batch.granularity, steps]
        return np.concatenate(
            [self.weight[layer, batch.weight_bits], self.activation[layer, batch.activation_bits], pruning], axis=1
        )

    def predict(self, batch: ChoiceBatch) -> NDArray[np.float64]:
        """Predicted logit mean squared error of whole policies: [B]."""
        return self.by_factor(batch).sum(axis=1)


def _curve(points: list[tuple[float, float]], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate an error that should fall with the value; measured rises are noise and are levelled."""
    values, errors = np.array(sorted(points)).T
    falling = np.maximum.accumulate(errors[::-1])[::-1]
    return np.asarray(np.interp(at, values, np.sqrt(falling)) ** 2)
