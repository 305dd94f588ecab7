import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.errors import RunError
from rlcompress.evaluation import successive_halving

COUNTS = {"candidates": st.integers(1, 40), "images": st.integers(1, 300), "keep": st.integers(1, 12)}


def table(errors, asked=None):
    """The callback that reads a table [candidates, images]."""

    def figures(numbers, part):
        if asked is not None:
            asked.append((numbers.tolist(), part))
        return errors[numbers, part]

    return figures


@given(**COUNTS, images_each=st.integers(1, 120), seed=st.integers(0, 99))
def test_the_budget_holds_and_no_image_is_scored_twice(candidates, images, keep, images_each, seed):
    errors, asked = np.random.default_rng(seed).random((candidates, images)), []
    found = successive_halving(table(errors, asked), candidates, images, keep=keep, images_each=images_each)
    assert found.spent == sum(len(numbers) * (part.stop - part.start) for numbers, part in asked)
    assert found.spent <= candidates * images_each
    assert [part.start for _, part in asked] == [0, *(part.stop for _, part in asked[:-1])]
    assert sorted(found.order.tolist()) == list(range(candidates))
    for number in range(candidates):
        assert found.error[number] == pytest.approx(errors[number, : found.images[number]].mean())
    seen = found.images[found.order]
    assert (np.diff(seen) <= 0).all()
    assert seen[-1] >= 1
    assert (seen == seen[0]).sum() >= min(keep, candidates)


@given(**COUNTS, seed=st.integers(0, 99))
def test_candidates_that_differ_alike_on_every_image_are_put_in_order(candidates, images, keep, seed):
    quality = np.random.default_rng(seed).permutation(candidates).astype(float)
    errors = np.repeat(quality[:, None], images, 1)
    found = successive_halving(table(errors), candidates, images, keep=keep, images_each=50)
    best = found.order[: min(keep, candidates)]
    assert quality[best].tolist() == list(range(len(best)))


def test_equal_candidates_keep_their_order():
    found = successive_halving(table(np.ones((9, 50))), 9, 50, keep=2, images_each=20)
    assert found.order[:2].tolist() == [0, 1]
    assert found.order.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_rounds_share_the_budget():
    found = successive_halving(table(np.arange(8.0)[:, None].repeat(1000, 1)), 8, 1000, images_each=30)
    assert found.images.tolist() == [70, 70, 30, 30, 10, 10, 10, 10]  # 80 in each of 3 rounds
    assert found.spent == 8 * 30


def test_without_more_images_the_rest_of_the_budget_is_left():
    found = successive_halving(table(np.random.default_rng(0).random((8, 12))), 8, 12, images_each=1000)
    assert found.images.max() == 12
    assert found.spent == 8 * 12


def test_a_better_candidate_that_looks_worse_on_the_first_images_is_lost():
    """What halving pays for its speed."""
    errors = np.ones((4, 100))
    errors[3, :2], errors[3, 2:] = 2.0, 0.0
    assert successive_halving(table(errors), 4, 100, images_each=4).order[0] != 3
    assert successive_halving(table(errors), 4, 100, images_each=100).order[0] == 3


@pytest.mark.parametrize("name", ["candidates", "images", "keep", "images_each"])
def test_counts_below_one(name):
    counts = {"candidates": 2, "images": 2, "keep": 1, "images_each": 1} | {name: 0}
    with pytest.raises(RunError, match=f"^{name} of successive halving must be at least 1, got 0$"):
        successive_halving(table(np.ones((2, 2))), **counts)
