"""`best_of`: the best few of many policies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlcompress.evaluation.halving import successive_halving
from rlcompress.evaluation.score import PerImage, Score
from rlcompress.evaluation.scorer import Choices, Scorer
from rlcompress.integer import IntegerNetwork


@dataclass(frozen=True, slots=True)
class Selection:
    """The best few of many policies.

    Attributes:
        numbers: positions among the policies given, the best first.
        scores: one each, on the images that it was scored on, the first ones.
        images_scored: over all policies, what the selection took.
    """

    numbers: tuple[int, ...]
    scores: tuple[Score, ...]
    images_scored: int


def best_of(scorer: Scorer, policies: Sequence[Choices], *, keep: int = 1, images_each: int = 224) -> Selection:
    """The best policies by the clipped KL divergence (without classes, by the error of the outputs).

    By `successive_halving`. The networks of all policies are held at first, those of the better half thereafter.

    Args:
        scorer: its evaluator's images are looked at in order.
        policies: to choose from.
        keep: how many are wanted.
        images_each: mean number of images a policy that may be scored.

    Raises:
        RunError: no policy, or a count is below 1.
    """
    race = _Race(scorer, policies)
    found = successive_halving(race, len(policies), len(scorer.evaluator), keep=keep, images_each=images_each)
    numbers = found.order[:keep].tolist()
    return Selection(tuple(numbers), tuple(race.score(number) for number in numbers), found.spent)


class _Race:
    """Networks of policies that are still looked at, and what all have shown so far."""

    def __init__(self, scorer: Scorer, policies: Sequence[Choices]) -> None:
        self._scorer, self._policies = scorer, policies
        self._networks: dict[int, IntegerNetwork] = {}
        self._figures: dict[int, PerImage] = {}

    def __call__(self, numbers: NDArray[np.int64], images: slice) -> NDArray[np.float64]:
        """See `rlcompress.evaluation.halving.Figures`."""
        self._networks = {number: self._network(number) for number in numbers.tolist()}
        evaluator, errors = self._scorer.evaluator.part(images), []
        for number, network in self._networks.items():
            figures = evaluator.per_image(network)
            known = self._figures.get(number)
            self._figures[number] = figures if known is None else PerImage.cat([known, figures])
            errors.append(figures.error.numpy())
        return np.stack(errors)

    def score(self, number: int) -> Score:
        """A policy's, on the images that it was scored on."""
        figures = self._figures[number]
        return self._scorer.evaluator.part(slice(0, len(figures.value))).compared(figures)

    def _network(self, number: int) -> IntegerNetwork:
        return self._networks[number] if number in self._networks else self._scorer.network(self._policies[number])
