"""Which of the evaluated policies deserve a closer look, without rewarding luck."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlcompress.envs import Outcome

_BOLDEST = 8  # policies within the allowed drop
_SPREAD = 5  # policies over the whole front
_MILD_POINTS = 5.0
_LEAST_SPREAD = 0.1  # points; a fit on few outcomes would look too good


def blended_drops(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """Drops in points, each blended with what its logit error predicts: [O].

    A drop measured on a thousand images is uncertain by some tenths of a point, and the best of many measured drops
    is mostly luck. The logit error on the same images is much less noisy and nearly proportional to the drop; each
    measured drop is shrunk towards that prediction by the ratio of the two uncertainties (empirical Bayes).
    """
    drop = np.array([o.score.drop for o in outcomes])
    noise = np.array([max(o.score.drop_error, 1e-3) for o in outcomes])
    error = np.array([o.score.logit_mse for o in outcomes])
    mild = drop <= _MILD_POINTS
    if not np.any(mild & (error > 0)):
        return drop
    slope = (error[mild] * drop[mild]).sum() / np.square(error[mild]).sum()
    residual = np.square(drop - slope * error)[mild] - np.square(noise[mild])
    spread = max(float(residual.mean()), _LEAST_SPREAD**2)
    trust = spread / (spread + np.square(noise))
    return np.asarray(np.where(mild, trust * drop + (1 - trust) * slope * error, drop))


def finalists(outcomes: Sequence[Outcome], max_drop: float) -> list[Outcome]:
    """Policies to score on more images: the cheapest within the allowed drop, and a spread over the front.

    Always among them is the policy of least blended drop, so that something mild is left if the others fail.
    """
    drops = blended_drops(outcomes)
    saved = np.array([o.saved_pct for o in outcomes])
    allowed = [int(i) for i in np.argsort(-saved, kind="stable") if drops[i] <= max_drop][:_BOLDEST]
    front = pareto(saved, drops)
    spread = [front[int(i)] for i in np.linspace(0, len(front) - 1, min(_SPREAD, len(front))).round()]
    chosen = dict.fromkeys([*allowed, *spread, int(np.argmin(drops))])
    return [outcomes[i] for i in chosen]


def pareto(saved: NDArray[np.float64], drops: NDArray[np.float64]) -> list[int]:
    """Positions of the policies that no other beats in both: most saved first, with falling drops."""
    front: list[int] = []
    least = np.inf
    for i in np.lexsort((drops, -saved)):
        if drops[i] < least:
            front.append(int(i))
            least = drops[i]
    return front
