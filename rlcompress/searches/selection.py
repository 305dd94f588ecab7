"""Judging evaluated policies by their drops, without rewarding luck."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlcompress.evaluation import Score, expects, likely_drops


def final_drops(finals: Sequence[tuple[Score, Score]], candidates: Sequence[Score]) -> NDArray[np.float64]:
    """Drops that final networks are judged by, in points: [F].

    Each is the likely drop, by what was measured on fresh images and by what was to be expected on them. Where nothing
    tells what was to be expected, it is the `cautious_drop`, or that blended with what its error predicts where this is
    more: where many final networks are measured on few images, one that seems to lose little is mostly lucky
    (docs/experiments.md).

    Args:
        finals: scores on fresh images and on those that candidates were scored on.
        candidates: who say, with the finals, how drops go together with the rest.
    """
    fresh = [score for score, _ in finals]
    like = [*fresh, *candidates]
    if expects(like):
        return likely_drops(fresh, like)
    measured = np.array([cautious_drop(*scores) for scores in finals])
    return np.maximum(measured, likely_drops(fresh, like, measured))


def cautious_drop(fresh: Score, scored: Score) -> float:
    """The drop that a finalist is judged by: the larger of that on fresh images and that on all search images.

    Args:
        fresh: on images that no candidate was scored on, so that luck among candidates is not in it.
        scored: of the same network, on the images that candidates were scored on. Alone they are few, and their noise
            refuses policies that are well within the drop.
    """
    images = fresh.images + scored.images
    return max(fresh.drop, (fresh.drop * fresh.images + scored.drop * scored.images) / images)


def pareto(saved: NDArray[np.float64], drops: NDArray[np.float64]) -> list[int]:
    """Positions of the policies that no other beats in both: most saved first, with falling drops."""
    front: list[int] = []
    least = np.inf
    for i in np.lexsort((drops, -saved)):
        if drops[i] < least:
            front.append(int(i))
            least = drops[i]
    return front


def best_within(saved: NDArray[np.float64], drops: NDArray[np.float64], goal: float) -> int | None:
    """Position of the policy that saves most with a drop of at most ``goal``; None if there is none."""
    allowed = np.flatnonzero(drops <= goal)
    return int(allowed[np.argmax(saved[allowed])]) if len(allowed) else None
