"""Judging evaluated policies by their drops, without rewarding luck."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlcompress.envs import Outcome
from rlcompress.evaluation import Score

_MILD_POINTS = 5.0
_SPREAD = 0.4  # points between what a policy truly loses and what its error says, see docs/results.md
_EXPONENTS = (1.0, 1.25, 1.5, 1.75, 2.0)  # of the drop as a power of the error
_LEAST_NOISE = 1e-3  # points
_LEAST_ERROR = 1e-9


def blended_drops(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """Drops of candidates in points, each blended with what its error predicts: [O]."""
    scores = [outcome.score for outcome in outcomes]
    return _blended(np.array([score.drop for score in scores]), scores, scores)


def final_drops(finals: Sequence[tuple[Score, Score]], candidates: Sequence[Score]) -> NDArray[np.float64]:
    """Drops that final networks are judged by, in points: [F].

    Each is the `cautious_drop`, or that blended with what its error predicts where this is more: where many final
    networks are measured on few images, one that seems to lose little is mostly lucky (docs/results.md).

    Args:
        finals: scores on fresh images and on those that candidates were scored on.
        candidates: whose errors and drops say, with those of the finals, how the two go together.
    """
    fresh, measured = [score for score, _ in finals], np.array([cautious_drop(*scores) for scores in finals])
    return np.maximum(measured, _blended(measured, fresh, [*fresh, *candidates]))


def _blended(drops: NDArray[np.float64], scores: Sequence[Score], like: Sequence[Score]) -> NDArray[np.float64]:
    """Drops shrunk towards what errors predict.

    A drop measured on a thousand images is uncertain by some tenths of a point, and the best of many measured drops
    is mostly luck. The KL divergence on the same images (without classes: the outputs' error) is less noisy, and the
    drop nearly a power of it; each measured drop is shrunk towards that prediction by the ratio of the two
    uncertainties (empirical Bayes). Drops beyond 5 points are left alone.

    Args:
        drops: [O] in points.
        scores: of which the drops are.
        like: whose drops and errors say how the two go together.
    """
    predicted, mild, noise = _predicted(_errors(scores), like), drops <= _MILD_POINTS, _noise(scores)
    if predicted is None or not mild.any():
        return drops
    spread = max(_SPREAD**2, float((np.square(drops - predicted) - np.square(noise))[mild].mean()))
    trust = spread / (spread + np.square(noise))
    return np.asarray(np.where(mild, trust * drops + (1.0 - trust) * predicted, drops))


def _predicted(errors: NDArray[np.float64], like: Sequence[Score]) -> NDArray[np.float64] | None:
    """Drops by the power of the error that fits those of scores best (weighted least squares), None without any."""
    known, given = _errors(like), np.array([score.drop for score in like])
    fitting = (given <= _MILD_POINTS) & (known > _LEAST_ERROR)
    if not fitting.any():
        return None
    known, given, weight = known[fitting], given[fitting], (1.0 / (_noise(like) ** 2 + _SPREAD**2))[fitting]

    def fitted(exponent: float) -> tuple[float, float, float]:
        power = known**exponent
        slope = float((weight * power * given).sum() / (weight * power**2).sum())
        return float((weight * (given - slope * power) ** 2).sum()), slope, exponent

    _, slope, exponent = min(fitted(exponent) for exponent in _EXPONENTS)
    return slope * np.maximum(errors, 0.0) ** exponent


def _errors(scores: Sequence[Score]) -> NDArray[np.float64]:
    return np.array([score.logit_mse if score.kl is None else score.kl for score in scores])


def _noise(scores: Sequence[Score]) -> NDArray[np.float64]:
    return np.array([max(score.drop_error, _LEAST_NOISE) for score in scores])


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
