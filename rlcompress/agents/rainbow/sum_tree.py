"""`SumTree`: draws positions in proportion to non-negative values, in logarithmic time."""

import numpy as np
from numpy.typing import NDArray


class SumTree:
    """Binary tree whose inner nodes hold the sum of their children (Schaul et al. 2016, appendix B.2.1).

    Args:
        capacity: number of positions; all values start at 0.
    """

    def __init__(self, capacity: int) -> None:
        self._leaves = 1 << max(capacity - 1, 1).bit_length()
        self._nodes = np.zeros(2 * self._leaves, dtype=np.float64)

    @property
    def total(self) -> float:
        """Sum of all values."""
        return float(self._nodes[1])

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Values at ``positions``."""
        return self._nodes[positions + self._leaves]

    def __setitem__(self, positions: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Set the values at ``positions``; of a position named twice the last value stays."""
        nodes = positions + self._leaves
        self._nodes[nodes] = values
        while nodes[0] > 1:
            nodes = np.unique(nodes // 2)
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def find(self, mass: NDArray[np.float64]) -> NDArray[np.int64]:
        """Positions where the running sum of values first exceeds ``mass`` in [0, total)."""
        mass = mass.copy()
        nodes = np.ones(len(mass), dtype=np.int64)
        while nodes[0] < self._leaves:
            left = 2 * nodes
            # the second test keeps rounding errors from ending at a value of 0
            right = (mass >= self._nodes[left]) & (self._nodes[left + 1] > 0.0)
            mass -= np.where(right, self._nodes[left], 0.0)
            nodes = left + right
        return nodes - self._leaves
