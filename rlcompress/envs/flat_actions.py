"""Hybrid actions as one flat Box for Stable-Baselines3, and back; for B actions at once.

Column 0 of the Box is the granularity: index i of n lies at the centre of the i-th of n equal bins of [-1, 1]. The
others are keep ratio, weight bits and activation bits.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rlcompress.envs.episodes import Actions

Flats = NDArray[np.float32]

COLUMNS = 4
_RESIDUAL_RANGE = np.array([0.375, 2.4, 2.4])  # of keep ratio, weight bits and activation bits around the plan


class FlatActions(Protocol):
    """A way to write hybrid actions as flat ones."""

    names: tuple[str, ...]
    """What the bins of column 0 mean."""

    def native(self, flat: Flats, planned: Actions) -> Actions:
        """The actions that flat ones [B, 4] stand for, where ``planned`` would follow the plan."""
        ...

    def flat(self, executed: Actions, planned: Actions) -> Flats:
        """The flat actions [B, 4] that stand for executed ones."""
        ...


class Absolute:
    """The knobs' columns are the environment's own."""

    def __init__(self, granularities: tuple[str, ...]) -> None:
        self.names = granularities

    def native(self, flat: Flats, planned: Actions) -> Actions:
        """See `FlatActions`."""
        return Actions(_bins(flat[:, 0], len(self.names)), flat[:, 1:].astype(np.float64))

    def flat(self, executed: Actions, planned: Actions) -> Flats:
        """See `FlatActions`."""
        return _joined(_centres(executed.granularity, len(self.names)), executed.knobs)


class Residual:
    """Choices relative to the plan: 0 in a knob's column is the planned value, bin 0 the planned granularity.

    A knob moves by at most 0.375 (keep ratio) or 2.4 (bits) from the plan; the other bins choose a granularity.

    Args:
        granularities: that may be chosen.
        span: [3] of what a knob's -1 to 1 stands for.
    """

    def __init__(self, granularities: tuple[str, ...], span: NDArray[np.float64]) -> None:
        self.names = ("as planned", *granularities)
        self._range = 2.0 * _RESIDUAL_RANGE / np.maximum(span, 1e-9)

    def native(self, flat: Flats, planned: Actions) -> Actions:
        """See `FlatActions`."""
        chosen = _bins(flat[:, 0], len(self.names))
        knobs = planned.knobs + np.clip(flat[:, 1:], -1.0, 1.0) * self._range
        return Actions(np.where(chosen == 0, planned.granularity, chosen - 1), np.clip(knobs, -1.0, 1.0))

    def flat(self, executed: Actions, planned: Actions) -> Flats:
        """See `FlatActions`."""
        same = executed.granularity == planned.granularity
        column = _centres(np.where(same, 0, 1 + executed.granularity), len(self.names))
        return _joined(column, (executed.knobs - planned.knobs) / self._range)


def _bins(column: Flats, bins: int) -> NDArray[np.int64]:
    return np.clip(np.floor((column + 1.0) * bins / 2.0), 0, bins - 1).astype(np.int64)


def _centres(index: NDArray[np.int64], bins: int) -> NDArray[np.float64]:
    return (2.0 * index + 1.0) / bins - 1.0


def _joined(column: NDArray[np.float64], knobs: NDArray[np.float64]) -> Flats:
    return np.clip(np.concatenate([column[:, None], knobs], axis=1), -1.0, 1.0).astype(np.float32)
