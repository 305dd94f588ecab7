from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.errors import PolicyError
from rlcompress.spec import GRANULARITIES, ChoiceBatch, LayerChoice, keep_count
from tests.spec.strategies import choices


@pytest.mark.parametrize(
    ("count", "keep_ratio", "kept"),
    [(16, 0.5, 8), (10, 0.25, 3), (10, 0.24, 2), (3, 0.05, 1), (1, 0.4, 1), (7, 1.0, 7)],
)
def test_keep_count_rounds_half_up_and_keeps_one(count, keep_ratio, kept):
    assert keep_count(count, keep_ratio) == kept


@given(count=st.integers(1, 5_000_000), steps=st.integers(1, 20))
def test_keep_count_is_within_half_of_the_exact_share(count, steps):
    exact = count * Fraction(steps, 20)
    kept = keep_count(count, round(0.05 * steps, 10))
    assert 1 <= kept <= count
    assert kept == 1 or abs(kept - exact) <= Fraction(1, 2)


@given(count=st.integers(1, 5000), steps=st.integers(1, 20), round_to=st.integers(1, 64))
def test_what_is_kept_is_the_nearest_multiple_or_everything(count, steps, round_to):
    ratio = round(0.05 * steps, 10)
    kept = keep_count(count, ratio, round_to)
    assert 1 <= kept <= count
    assert kept % round_to == 0 or kept == count
    assert keep_count(count, 1.0, round_to) == count
    if round_to <= kept < count and kept > round_to:
        assert abs(kept - count * Fraction(steps, 20)) <= Fraction(round_to, 2)
    assert kept >= keep_count(count, ratio - 0.025, round_to)


def test_choices_are_frozen_and_equal_by_value():
    choice = LayerChoice(granularity="element", keep_ratio=0.5)
    assert {choice: 1}[LayerChoice(granularity="element", keep_ratio=0.5)] == 1
    with pytest.raises(Exception, match="frozen"):
        choice.weight_bits = 4


def test_a_choice_that_is_wrong_says_so_without_a_name():
    with pytest.raises(PolicyError, match=r"^layer choice: weight_bits must be 2 to 8, or 16, got 12$"):
        LayerChoice(weight_bits=12)


@given(rows=st.lists(st.lists(choices(), min_size=3, max_size=3), min_size=1, max_size=4))
def test_batches_hold_what_they_were_made_of(rows):
    layers = ["a", "b", "c"]
    policies = [dict(zip(layers, row, strict=True)) for row in rows]
    batch = ChoiceBatch.of(policies, layers)
    assert batch.shape == (len(rows), 3)
    assert [batch.choices(i, layers) for i in range(len(rows))] == policies
    assert GRANULARITIES[batch.granularity[0, 1]] == rows[0][1].granularity


def test_batches_name_the_layer_that_is_missing():
    with pytest.raises(PolicyError, match="layer 'b' is missing; add an entry"):
        ChoiceBatch.of([{"a": LayerChoice()}], ["a", "b"])


def test_arrays_of_a_batch_have_one_shape():
    good, bad = np.zeros((2, 3), np.int64), np.zeros((2, 2), np.int64)
    with pytest.raises(PolicyError, match=r"must have one shape \[B, L\]"):
        ChoiceBatch(good, good.astype(float), good, bad)
