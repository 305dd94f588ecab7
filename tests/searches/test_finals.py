from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rlcompress.envs import Outcome
from rlcompress.evaluation import Score
from rlcompress.searches.finals import judged, most_finals
from tests.searches.test_selection import outcome_of


def outcomes_of(count: int = 40) -> list[Outcome]:
    """What is saved rises by 1 %, the drop by 0.05 points."""
    return [outcome_of(i, 1.0 * i, 0.05 * i, 0.05 * i, noise=0.01) for i in range(1, count + 1)]


Measured = list[tuple[Score, Score]]


def measuring(outcomes: list[Outcome], share: float, asked: list[list[int]]) -> Callable[[list[int]], Measured]:
    """Final networks that lose a share of what their candidates do."""

    def measure(positions: list[int]) -> Measured:
        asked.append(positions)
        scores = (outcomes[i].score for i in positions)
        finals = [replace(of, drop=share * of.drop, logit_mse=share * of.logit_mse) for of in scores]
        return [(of, of) for of in finals]

    return measure


@pytest.mark.parametrize("share", [0.4, 0.7, 1.0, 1.6])
@pytest.mark.parametrize("expected", [0.5, 1.0])
def test_the_boldest_allowed_is_found_whatever_finals_lose(share: float, expected: float) -> None:
    outcomes = outcomes_of()
    drops = judged(outcomes, [1.0], expected, measuring(outcomes, share, []))
    allowed = [o.saved_pct for o in outcomes if share * o.score.drop <= 1.0]
    best = max(outcomes[i].saved_pct for i, drop in drops.items() if drop <= 1.0)
    assert best >= max(allowed) - 1.0


def test_none_is_made_twice_and_there_are_few() -> None:
    outcomes, asked = outcomes_of(), list[list[int]]()
    goals = [0.5, 1.0, 1.7]
    drops = judged(outcomes, goals, 1.0, measuring(outcomes, 0.8, asked))
    made = [i for positions in asked for i in positions]
    assert made == list(drops)
    assert len(made) == len(set(made)) <= most_finals(len(outcomes), goals)


def test_the_mildest_and_the_whole_front_are_among_them() -> None:
    outcomes = outcomes_of()
    drops = judged(outcomes, [1.0], 1.0, measuring(outcomes, 1.0, []))
    assert {0, len(outcomes) - 1} <= drops.keys()


def test_a_lucky_candidate_does_not_end_the_search() -> None:
    outcomes = outcomes_of()

    def measure(positions: list[int]) -> Measured:
        scores = [outcomes[i].score if i < 10 else replace(outcomes[i].score, drop=5.0) for i in positions]
        return [(of, of) for of in scores]

    drops = judged(outcomes, [1.0], 1.0, measure)
    assert max(outcomes[i].saved_pct for i, drop in drops.items() if drop <= 1.0) >= 9.0


@pytest.mark.parametrize("goal", [0.0, 1e-4, 50.0])
def test_goals_that_none_or_all_are_within(goal: float) -> None:
    outcomes = outcomes_of(6)
    drops = judged(outcomes, [goal], 1.0, measuring(outcomes, 1.0, []))
    assert np.isfinite(list(drops.values())).all()
    assert 0 in drops


def test_one_outcome_is_enough() -> None:
    outcomes = outcomes_of(1)
    assert judged(outcomes, [1.0], 0.8, measuring(outcomes, 1.0, [])) == {0: pytest.approx(0.05)}
