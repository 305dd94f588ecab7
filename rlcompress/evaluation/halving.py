"""Successive halving: the best few of many candidates, by looking longer at ever fewer of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlcompress.errors import RunError

Figures = Callable[[NDArray[np.int64], slice], NDArray[np.float64]]
"""(numbers of candidates [M], images not seen before, n of them) -> error of each on each, less is better: [M, n]."""


@dataclass(frozen=True, slots=True)
class Halving:
    """What successive halving found.

    Attributes:
        order: numbers of all candidates, the best first: those that were dropped later before those dropped earlier.
        error: of each candidate, mean over the images that it was scored on, [C].
        images: that each candidate was scored on, the first ones, [C].
    """

    order: NDArray[np.int64]
    error: NDArray[np.float64]
    images: NDArray[np.int64]

    @property
    def spent(self) -> int:
        """Images scored, over all candidates."""
        return int(self.images.sum())


def successive_halving(figures: Figures, candidates: int, images: int, *, keep: int = 1, images_each: int) -> Halving:
    """Drop the worse half of the candidates again and again; those that stay are scored on further images.

    After Jamieson and Talwalkar (AISTATS 2016), algorithm 1: every round gets the same share of the budget, so that
    half as many candidates see twice as many new images; what a round leaves, because there are no more images, goes
    to the rounds after it. An image is never scored twice for a candidate. Of equal candidates that with the lower
    number is better.

    Args:
        figures: scores candidates on images.
        candidates: C, numbered from 0.
        images: that there are, numbered from 0.
        keep: how many candidates are left at the end, or all if there are fewer.
        images_each: mean number of images a candidate that may be scored; C times as many are the budget.

    Raises:
        RunError: a count is below 1.

    >>> quality = np.array([3.0, 1.0, 2.0, 4.0])
    >>> found = successive_halving(lambda n, s: np.tile(quality[n, None], s.stop - s.start), 4, 100, images_each=10)
    >>> found.order.tolist(), found.images.tolist(), found.spent
    ([1, 2, 0, 3], [5, 15, 15, 5], 40)
    """
    counts = {"candidates": candidates, "images": images, "keep": keep, "images_each": images_each}
    for name, count in counts.items():
        if count < 1:
            raise RunError(f"{name} of successive halving must be at least 1, got {count}")
    total, scored = np.zeros(candidates), np.zeros(candidates, np.int64)
    left, dropped, seen = np.arange(candidates), list[NDArray[np.int64]](), 0
    for rounds in range(max(1, math.ceil(math.log2(candidates / keep))), 0, -1):
        share = (candidates * images_each - int(scored.sum())) // (rounds * len(left))
        new = min(max(share, int(seen == 0)), images - seen)
        if new:
            total[left] += figures(left, slice(seen, seen + new)).sum(1)
            seen += new
            scored[left] = seen
        ordered = left[np.argsort(total[left], kind="stable")]
        stay = max(min(keep, len(left)), math.ceil(len(left) / 2))
        left, dropped = np.sort(ordered[:stay]), [ordered[stay:], *dropped]
    return Halving(np.concatenate([ordered[:stay], *dropped]), total / scored, scored)
