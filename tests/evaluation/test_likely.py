from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.evaluation import Score, likely_drops


def score_of(drop, expected, noise=0.3, error=0.1):
    return Score(90 - drop, drop, noise, 99.0, error, 1000, kl=error, expected_drop=expected)


def test_without_measurements_like_it_a_drop_is_drawn_towards_what_is_expected():
    sure, unsure = likely_drops([score_of(0.0, 1.0, noise=0.01), score_of(0.0, 1.0, noise=10.0)], like=[])
    assert sure == pytest.approx(0.0, abs=0.01)
    assert unsure == pytest.approx(1.0, abs=0.01)
    spread = 0.1**2 + 0.3**2
    assert likely_drops([score_of(0.0, 1.0)], like=[]) == pytest.approx([0.3**2 / (0.3**2 + spread)])


def test_lucky_and_unlucky_drops_come_nearer_to_each_other():
    others = [score_of(0.8 * i, float(i), noise=0.05) for i in range(1, 6)]
    lucky, unlucky = likely_drops([score_of(0.2, 2.0, noise=1.0), score_of(3.0, 2.0, noise=1.0)], like=others)
    assert 1.1 < lucky < 1.6 < unlucky < 2.2


def test_what_is_measured_says_how_expectation_and_drop_go_together():
    exact = [score_of(0.5 * i**1.25, float(i), noise=0.01) for i in np.linspace(0.2, 4.0, 20)]
    few = score_of(0.0, 3.0, noise=10.0)
    assert likely_drops([few], like=exact)[0] == pytest.approx(0.5 * 3.0**1.25, rel=0.2)
    noisy = [replace(score, drop_error=5.0) for score in exact]
    assert likely_drops([few], like=noisy)[0] > 2.5  # many measurements with the same images are as one


def test_far_drops_are_left_alone():
    assert likely_drops([score_of(80.0, 3.0), score_of(0.5, 0.5)])[0] == 80.0


def test_where_an_expectation_is_missing_errors_take_its_place():
    exact = [replace(score_of(2.0 * (0.1 * i) ** 1.5, None, noise=0.5), kl=0.1 * i) for i in range(1, 15)]
    assert likely_drops(exact) == pytest.approx([score.drop for score in exact], abs=1e-6)
    lucky, known = replace(exact[9], drop=0.0), score_of(1.0, 9.0)
    without = likely_drops([lucky], like=[*exact, replace(known, expected_drop=None)])
    assert likely_drops([lucky], like=[*exact, known]) == pytest.approx(without)
    assert without[0] > 0.1
    assert likely_drops([score_of(7.0, None)])[0] == 7.0
    assert likely_drops([]).size == 0


@given(
    drops=st.lists(st.floats(-2.0, 90.0), min_size=1, max_size=12),
    expected=st.lists(st.floats(-0.5, 60.0), min_size=12, max_size=12),
    noise=st.floats(0.0, 2.0),
)
def test_likely_drops_are_finite_and_between_what_is_known(drops, expected, noise):
    scores = [score_of(drop, of, noise) for drop, of in zip(drops, expected, strict=False)]
    found = likely_drops(scores)
    assert np.isfinite(found).all()
    assert (found[np.array(drops) > 5.0] == np.array(drops)[np.array(drops) > 5.0]).all()
    assert (found >= np.minimum(drops, 0.0) - 1e-9).all()


def unexpected(drop, error, noise=0.3):
    return Score(90 - drop, drop, noise, 99.0, error, 1000)


def test_without_classes_lucky_drops_are_shrunk_towards_what_the_error_predicts():
    scores = [unexpected(0.5 * i, 0.5 * i) for i in range(1, 7)]
    found = likely_drops([*scores, unexpected(0.0, 2.0)])
    assert 0.0 < found[-1] < 2.0
    assert found[:-1] == pytest.approx([0.5 * i for i in range(1, 7)], abs=0.3)


def test_exact_measurements_are_left_alone():
    scores = [unexpected(0.5 * i, 0.5 * i + (i % 2), noise=1e-3) for i in range(1, 5)]
    assert likely_drops(scores) == pytest.approx([score.drop for score in scores], abs=0.01)
    assert likely_drops(scores, measured=np.arange(4.0)) == pytest.approx(np.arange(4.0), abs=0.01)
