"""Judging evaluated policies by their drops, without rewarding luck."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlcompress.envs import Outcome
from rlcompress.evaluation import Score

_MILD_POINTS = 5.0
_LEAST_SPREAD = 0.1  # points; a fit on few outcomes would look too good


def blended_drops(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """Drops in points, each blended with what its error predicts: [O].

    A drop measured on a thousand images is uncertain by some tenths of a point, and the best of many measured drops
    is mostly luck. The KL divergence on the same images (without classes: the outputs' error) is less noisy and nearly
    proportional to the drop; each measured drop is shrunk towards that prediction by the ratio of the two uncertainties
    (empirical Bayes).
    """
    drop = np.array([o.score.drop for o in outcomes])
    noise = np.array([max(o.score.drop_error, 1e-3) for o in outcomes])
    error = np.array([o.score.logit_mse if o.score.kl is None else o.score.kl for o in outcomes])
    mild = drop <= _MILD_POINTS
    if not np.any(mild & (error > 0)):
        return drop
    slope = (error[mild] * drop[mild]).sum() / np.square(error[mild]).sum()
    residual = np.square(drop - slope * error)[mild] - np.square(noise[mild])
    spread = max(float(residual.mean()), _LEAST_SPREAD**2)
    trust = spread / (spread + np.square(noise))
    return np.asarray(np.where(mild, trust * drop + (1 - trust) * slope * error, drop))


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
