from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.envs import Outcome
from rlcompress.evaluation import Score
from rlcompress.searches.selection import cautious_drop, final_drops, pareto
from rlcompress.spec import ChoiceBatch


def outcome_of(number: int, saved: float, drop: float, error: float, noise: float = 0.3) -> Outcome:
    one = np.full((1, 1), number)
    choices = ChoiceBatch(one * 0, np.ones((1, 1)), one, one)
    return Outcome(number, "test", choices, 1.0, 1.0, saved, Score(90 - drop, drop, noise, 99.0, error, 1000))


def test_pareto_by_hand() -> None:
    saved = np.array([10.0, 50.0, 40.0, 50.0, 30.0])
    drops = np.array([0.1, 1.0, 0.5, 0.9, 0.6])
    assert pareto(saved, drops) == [3, 2, 0]


@pytest.mark.parametrize(("fresh", "scored", "judged"), [(0.5, 1.5, 0.7), (0.9, 0.1, 0.9), (0.4, 0.4, 0.4)])
def test_luck_on_the_scoring_images_does_not_count(fresh: float, scored: float, judged: float) -> None:
    at = {"metric": 90.0, "drop_error": 0.1, "agreement": 99.0, "logit_mse": 0.1}
    drop = cautious_drop(Score(drop=fresh, images=4000, **at), Score(drop=scored, images=1000, **at))
    assert drop == pytest.approx(judged)


def test_a_final_network_that_was_lucky_is_judged_by_its_error() -> None:
    candidates = [outcome_of(i, 10.0, 0.2 * i, 0.1 * i, noise=1.0).score for i in range(1, 20)]
    lucky, unlucky = (replace(candidates[7], drop=drop) for drop in (0.1, 2.5))
    drops = final_drops([(lucky, lucky), (unlucky, unlucky)], candidates)
    assert 0.9 < drops[0] < 1.6
    assert drops[1] == 2.5


def test_a_final_network_is_judged_by_what_was_to_be_expected_where_that_is_known() -> None:
    candidates = [replace(outcome_of(i, 10.0, 0.2 * i, 9.0, noise=1.0).score, expected_drop=0.2 * i) for i in range(20)]
    lucky, unlucky = (replace(candidates[7], drop=drop) for drop in (0.1, 2.5))
    scored = replace(candidates[7], drop=9.0)  # candidates were chosen by those images
    drops = final_drops([(lucky, scored), (unlucky, scored)], candidates)
    assert 0.9 < drops[0] < 1.4 < drops[1] < 2.0


def test_what_many_images_say_of_a_final_network_counts() -> None:
    candidates = [outcome_of(i, 10.0, 0.2 * i, 0.1 * i, noise=1.0).score for i in range(1, 20)]
    sure = replace(candidates[7], drop=1.0, drop_error=0.05)
    assert final_drops([(sure, sure)], candidates)[0] == pytest.approx(1.0, abs=0.1)


@given(
    drops=st.lists(st.floats(-2.0, 90.0), min_size=1, max_size=12),
    errors=st.lists(st.floats(0.0, 3.0), min_size=12, max_size=12),
    noise=st.floats(0.0, 2.0),
)
def test_judged_drops_are_finite_and_never_below_the_measured(
    drops: list[float], errors: list[float], noise: float
) -> None:
    scores = [outcome_of(1, 1.0, drop, error, noise).score for drop, error in zip(drops, errors, strict=False)]
    judged = final_drops([(score, score) for score in scores], scores)
    assert np.isfinite(judged).all()
    assert (judged >= np.array(drops) - 1e-9).all()
