"""Which of the evaluated policies get a final network: a few at a time, by what the earlier ones have shown."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rlcompress.envs import Outcome
from rlcompress.evaluation import Score, likely_drops
from rlcompress.searches.beside import Beside
from rlcompress.searches.selection import final_drops, pareto

Measure = Callable[[list[int]], Iterable[tuple[Score, Score]]]
"""Positions of outcomes -> scores of their final networks, on fresh images and on those of the candidates."""

_AT_ONCE = 4  # whatever the number of workers, so that what is found does not depend on it
_MOST = 12  # for one allowed drop
_BESIDE = 2  # times at most two beside them
_LEAST_GAIN = 0.2  # percent saved that a further final network must promise; 0.1 makes a fifth more, and saves as much
_SPREAD = 5  # policies over the whole front
_SHARE_STD = 0.4  # of the logarithm of final over predicted drop, before any final network is known
_OWN_STD = 0.2  # of the same from policy to policy, the measurement's noise included
_KERNEL_WIDTH = 0.5  # of the predicted drop's logarithm
_LEAST_SHARE = 0.05  # of the allowed drop; what is lost below that says nothing about the rest
_TINY = 1e-3  # points


def most_finals(outcomes: int, goals: Sequence[float]) -> int:
    """The largest number of final networks that `judged` asks for."""
    return min(outcomes, _MOST * len(goals) + _SPREAD + 1) + 2 * _BESIDE * len(goals)


def judged(
    outcomes: Sequence[Outcome],
    goals: Sequence[float],
    share: float,
    measure: Measure,
    beside: Beside | None = None,
) -> dict[int, float]:
    """`final_drops` of the final networks that are worth making: position -> points, in the order of their making.

    For each allowed drop the policies are chosen that promise the largest expected improvement of what is saved within
    it (Mockus, 1978), some at a time, each being believed to lose what is predicted until it is known (the "kriging
    believer" of Ginsbourger, Le Riche & Carraro, 2010). A prediction is the likely drop times the ratio of measured to
    predicted drops of final networks like it. Then come those `beside` final networks, whose drops say more than
    candidates' do, for each allowed drop; then policies over the whole front, and that of least likely drop.

    Args:
        outcomes: the evaluated policies.
        goals: allowed drops in points.
        share: of a candidate's drop that its final network is expected to lose, before any is known.
        measure: makes and measures final networks.
        beside: adds outcomes beside final networks to ``outcomes``; None for none.
    """
    scores: dict[int, tuple[Score, Score]] = {}
    drops: dict[int, float] = {}

    def make(positions: list[int]) -> None:
        if positions:
            scores.update(zip(positions, measure(positions), strict=True))
            candidates = [outcome.score for outcome in outcomes]
            drops.update(zip(scores, final_drops(list(scores.values()), candidates).tolist(), strict=True))

    for goal in goals:
        for _ in range(_MOST // _AT_ONCE):
            make(_promising(*_known(outcomes), drops, goal, share))
        for _ in range(_BESIDE):
            make(beside(drops, goal) if beside is not None else [])
    predicted, saved = _known(outcomes)
    front = pareto(saved, predicted)
    spread = [front[int(i)] for i in np.linspace(0, len(front) - 1, min(_SPREAD, len(front))).round()]
    make([i for i in dict.fromkeys([*spread, int(np.argmin(predicted))]) if i not in drops])
    return drops


def _known(outcomes: Sequence[Outcome]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Likely drops, and percent saved, of policies."""
    return likely_drops([outcome.score for outcome in outcomes]), np.array([outcome.saved_pct for outcome in outcomes])


def _promising(
    predicted: NDArray[np.float64], saved: NDArray[np.float64], drops: Mapping[int, float], goal: float, share: float
) -> list[int]:
    """Positions of the next policies."""
    believed, chosen = dict(drops), list[int]()
    while len(chosen) < min(_AT_ONCE, len(saved) - len(drops)):
        mean, std = _predictions(predicted, believed, goal, share)
        best = max((saved[i] for i, drop in believed.items() if drop <= goal), default=0.0)
        chance = np.array([NormalDist(*of).cdf(math.log(max(goal, _TINY))) for of in zip(mean, std, strict=True)])
        gain = chance * np.maximum(0.0, saved - best)
        gain[list(believed)] = 0.0
        pick = int(np.argmax(gain))
        if gain[pick] < _LEAST_GAIN:
            break
        chosen.append(pick)
        believed[pick] = float(np.exp(mean[pick]))
    return chosen


def _predictions(
    predicted: NDArray[np.float64], drops: Mapping[int, float], goal: float, share: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the logarithm of every policy's final drop."""
    least = max(_LEAST_SHARE * goal, _TINY)
    log_drop, known = np.log(np.maximum(predicted, least)), list(drops)
    ratio = np.log(np.maximum([drops[i] for i in known], least)) - log_drop[known]
    weight = np.exp(-0.5 * np.square((log_drop[:, None] - log_drop[known]) / _KERNEL_WIDTH)) / _OWN_STD**2
    precision = weight.sum(axis=1) + 1.0 / _SHARE_STD**2
    shift = (weight @ ratio + math.log(share) / _SHARE_STD**2) / precision
    return log_drop + shift, np.sqrt(1.0 / precision + _OWN_STD**2)
