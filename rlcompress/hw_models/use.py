"""`ArrayUse`: what an array does, and helpers that all arrays share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcompress.hw_models.work import Floats


@dataclass(frozen=True, slots=True)
class ArrayUse:
    """What the array does for one image.

    Attributes:
        cycles: without stalls.
        dense: unit cycles with no zeros skipped (padding at the array's edges included).
        working: unit cycles that compute something, or would but for padding.
        waiting: unit cycles in which a unit waits for the slowest one.
        peak: products the array could compute in a cycle.
    """

    cycles: Floats
    dense: Floats
    working: Floats
    waiting: Floats
    peak: Floats


def plain_use(cycles: Floats, macs: Floats, peak: float) -> ArrayUse:
    """Use of an array that skips nothing: every product is a unit cycle."""
    return ArrayUse(cycles, macs, macs, np.zeros_like(macs), np.full_like(macs, peak))


def run_width(bits: NDArray[Any], allowed: tuple[int, ...]) -> Floats:
    """The smallest width the datapath runs that is not below ``bits``."""
    widths = np.array(sorted(allowed), np.float64)
    return np.asarray(widths[np.searchsorted(widths, bits).clip(max=len(widths) - 1)])


def tiles(count: Floats, size: Floats | float) -> Floats:
    """Ceiling division."""
    return np.asarray(np.ceil(np.round(count / size, 9)))
