"""Images that tell candidates apart, learned from candidates scored before."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlcompress.errors import RunError

_UNIFORM = 0.2


@dataclass(frozen=True, slots=True)
class ImageSample:
    """Some of N images, drawn with unequal probabilities.

    Attributes:
        images: numbers of the images, increasing, int64 [M].
        weights: 1 / (N x probability that the image is drawn), [M].
    """

    images: NDArray[np.int64]
    weights: NDArray[np.float64]

    def mean(self, figures: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unbiased estimate of the mean over all N images, after Horvitz and Thompson (JASA 1952).

        Args:
            figures: of the drawn images, [..., M].

        Returns:
            [...].
        """
        return np.asarray(figures @ self.weights, np.float64)


def image_importance(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often each image should be drawn, from what earlier candidates lost on it.

    Proportional to the mean over candidates, which makes the estimate exact where a further candidate loses in the
    same proportions; a fifth is shared out equally, which bounds the weights by 5 / M (defensive mixture, Hesterberg,
    Technometrics 1995).

    Args:
        figures: clipped KL divergence or squared output error, at least 0, [candidates, N].

    Returns:
        [N], positive, of sum 1.

    Raises:
        RunError: no candidate or image, or a figure is negative or not finite.
    """
    if figures.ndim != 2 or not figures.size or not np.isfinite(figures).all() or figures.min() < 0.0:
        raise RunError("image importance wants finite errors of at least 0, [candidates, images], one or more of each")
    mean, count = figures.mean(0), figures.shape[1]
    equal = np.full(count, 1.0 / count)
    return equal if not mean.any() else _UNIFORM * equal + (1.0 - _UNIFORM) * mean / mean.sum()


def inclusion_probabilities(importance: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Probabilities of sum ``count``, proportional to the importance [N] where that leaves them at most 1: [N].

    >>> inclusion_probabilities(np.array([0.7, 0.1, 0.1, 0.1]), 2).round(3).tolist()
    [1.0, 0.333, 0.333, 0.333]
    """
    certain = np.zeros(len(importance), bool)
    while True:
        rest = importance[~certain].sum() or 1.0
        chance = np.where(certain, 1.0, (count - certain.sum()) * importance / rest)
        if not (beyond := (chance >= 1.0) & ~certain).any():
            return chance
        certain |= beyond


def sample_images(figures: NDArray[np.float64], count: int, seed: int = 0) -> ImageSample:
    """Draw the images that further candidates are best ranked by.

    Systematic sampling with unequal probabilities (Madow 1949) in the order of importance, so that the draw is
    stratified by importance and holds ``count`` different images.

    Args:
        figures: of earlier candidates on all images, see `image_importance`.
        count: M, images to draw.
        seed: of the draw.

    Raises:
        RunError: as `image_importance`, or there are not as many images.
    """
    importance = image_importance(figures)
    if not 1 <= count <= len(importance):
        raise RunError(f"from 1 to {len(importance)} images can be drawn, got {count}")
    chance = inclusion_probabilities(importance, count)
    order = np.argsort(importance, kind="stable")
    ends = np.cumsum(chance[order])
    ends *= count / ends[-1]  # rounding must not cost the last image
    ticks = np.arange(count) + np.random.default_rng(seed).random()
    images = np.sort(order[np.searchsorted(ends, ticks, side="right")])
    return ImageSample(images, 1.0 / (len(importance) * chance[images]))
