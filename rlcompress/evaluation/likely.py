"""What policies are likely to lose, by what was measured and by what is far less a matter of luck."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlcompress.evaluation.score import Score

Floats = NDArray[np.float64]

_MILD_POINTS = 5.0
_LEAST_NOISE = 1e-3  # points
_LEAST_ERROR = 1e-9

_EXPECTED_SPREAD = (0.1, 0.3)  # points, and share of what is predicted, between it and what a policy truly loses
_EXPECTED_EXPONENTS = (1.0, 1.125, 1.25, 1.375, 1.5)
_PRIOR_AT = np.array([0.25, 0.5, 1.0, 2.0, 4.0])  # points; a prior says that there as much is lost as is expected,
_PRIOR_STD = 0.5  # off by this share of it, as one measurement might be

_ERROR_SPREAD = 0.4  # points
_ERROR_EXPONENTS = (1.0, 1.25, 1.5, 1.75, 2.0)


def likely_drops(
    scores: Sequence[Score], like: Sequence[Score] | None = None, measured: Floats | None = None
) -> Floats:
    """Measured drops shrunk towards what is predicted for them, in points: [O].

    A drop measured on a thousand images is uncertain by some tenths of a point, and the best of many measured drops
    is mostly luck; what the dense network's probabilities let expect (`Score.expected_drop`) is not, and the drop
    nearly a power of it. Where that is not known, the error takes its place (the KL divergence, without classes that of
    the outputs). Each measured drop is shrunk towards that prediction by the ratio of the two uncertainties (empirical
    Bayes). Drops beyond 5 points are left alone.

    Args:
        scores: of O policies.
        like: whose drops say, with what was expected or with their errors, how the two go together; None for the scores
            themselves.
        measured: [O] in points, in place of the scores' own drops.
    """
    like = scores if like is None else like
    drops = _measured(scores) if measured is None else measured
    if not len(drops):
        return drops
    noise, mild = _noise(scores), drops <= _MILD_POINTS
    if expects([*scores, *like]):
        predicted = _by_expectation(_expected(scores), like)
        spread = _EXPECTED_SPREAD[0] ** 2 + np.square(_EXPECTED_SPREAD[1] * predicted)
    else:
        by_error = _by_error(_errors(scores), like)
        if by_error is None or not mild.any():
            return drops
        predicted = by_error
        own = float((np.square(drops - predicted) - np.square(noise))[mild].mean())
        spread = np.full_like(predicted, max(_ERROR_SPREAD**2, own))
    trust = spread / (spread + np.square(noise))
    return np.asarray(np.where(mild, trust * drops + (1.0 - trust) * predicted, drops))


def expects(scores: Sequence[Score]) -> bool:
    """Whether all scores tell what was to be expected to be lost."""
    return all(score.expected_drop is not None for score in scores)


class _Points(NamedTuple):
    """Drops that go with something else, and what each says about how they do."""

    known: Floats
    drops: Floats
    weight: Floats

    def where(self, fitting: NDArray[np.bool_]) -> "_Points":
        return _Points(self.known[fitting], self.drops[fitting], self.weight[fitting])

    def power(self, exponents: Sequence[float]) -> tuple[float, float]:
        """Slope and exponent of least squares."""

        def fitted(exponent: float) -> tuple[float, float, float]:
            power = self.known**exponent
            slope = float((self.weight * power * self.drops).sum() / (self.weight * power**2).sum())
            return float((self.weight * (self.drops - slope * power) ** 2).sum()), slope, exponent

        _, slope, exponent = min(fitted(exponent) for exponent in exponents)
        return slope, exponent


def _by_expectation(expected: Floats, like: Sequence[Score]) -> Floats:
    """Drops by the power of what was expected that fits best.

    The dense network's own luck with the images is in all measured drops, so that together they count as one.
    """
    known, drops = _expected(like), _measured(like)
    variance = np.square(_noise(like)) + _EXPECTED_SPREAD[0] ** 2 + np.square(_EXPECTED_SPREAD[1] * known)
    points = _Points(known, drops, 1.0 / variance).where((drops <= _MILD_POINTS) & (known > _LEAST_ERROR))
    prior = 1.0 / (np.square(_PRIOR_STD * _PRIOR_AT) * len(_PRIOR_AT))
    slope, exponent = _Points(
        np.concatenate([points.known, _PRIOR_AT]),
        np.concatenate([points.drops, _PRIOR_AT]),
        np.concatenate([points.weight / max(1, len(points.weight)), prior]),
    ).power(_EXPECTED_EXPONENTS)
    return np.asarray(max(0.0, slope) * np.maximum(expected, 0.0) ** exponent)


def _by_error(errors: Floats, like: Sequence[Score]) -> Floats | None:
    """Drops by the power of the error that fits best, None without any measured."""
    known, drops = _errors(like), _measured(like)
    points = _Points(known, drops, 1.0 / (np.square(_noise(like)) + _ERROR_SPREAD**2))
    points = points.where((drops <= _MILD_POINTS) & (known > _LEAST_ERROR))
    if not len(points.known):
        return None
    slope, exponent = points.power(_ERROR_EXPONENTS)
    return np.asarray(slope * np.maximum(errors, 0.0) ** exponent)


def _expected(scores: Sequence[Score]) -> Floats:
    return np.array([np.nan if score.expected_drop is None else score.expected_drop for score in scores])


def _measured(scores: Sequence[Score]) -> Floats:
    return np.array([score.drop for score in scores])


def _errors(scores: Sequence[Score]) -> Floats:
    return np.array([score.logit_mse if score.kl is None else score.kl for score in scores])


def _noise(scores: Sequence[Score]) -> Floats:
    return np.array([max(score.drop_error, _LEAST_NOISE) for score in scores])
