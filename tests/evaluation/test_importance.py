import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.errors import RunError
from rlcompress.evaluation import image_importance, sample_images
from rlcompress.evaluation.importance import inclusion_probabilities


def errors(seed, candidates=8, images=60):
    """Of candidates that lose on the same images, few of them, in different measure."""
    draw = np.random.default_rng(seed)
    hard = draw.random(images) ** 6
    return draw.random((candidates, 1)) * hard * draw.uniform(0.5, 1.5, (candidates, images))


@given(seed=st.integers(0, 999), count=st.integers(1, 60), draw=st.integers(0, 99))
def test_as_many_different_images_are_drawn_as_asked(seed, count, draw):
    sample = sample_images(errors(seed), count, draw)
    assert len(sample.images) == count
    assert (np.diff(sample.images) > 0).all()
    assert set(sample.images.tolist()) <= set(range(60))
    assert (sample.weights >= 1 / 60 * (1 - 1e-9)).all()
    assert (sample.weights <= 5 / count * (1 + 1e-9)).all()
    assert sample_images(errors(seed), count, draw).images.tolist() == sample.images.tolist()


@given(seed=st.integers(0, 999), count=st.integers(1, 60))
def test_every_image_may_be_drawn(seed, count):
    importance = image_importance(errors(seed))
    chance = inclusion_probabilities(importance, count)
    assert importance.sum() == pytest.approx(1.0)
    assert chance.sum() == pytest.approx(count)
    assert (chance > 0.0).all()
    assert (chance <= 1.0 + 1e-12).all()
    below = chance < 1.0
    ratios = (chance / importance)[below]
    assert ratios == pytest.approx(np.full(below.sum(), ratios.mean() if below.any() else 0.0))


@pytest.mark.parametrize("count", [5, 20])
def test_the_estimate_is_unbiased_and_better_than_that_of_images_drawn_alike(count):
    earlier, further = errors(0)[:6], errors(0)[6:]
    draws = [sample_images(earlier, count, seed) for seed in range(3000)]
    given = np.array([sample.mean(further[:, sample.images]) for sample in draws])
    spread = given.std(0)
    assert np.abs(given.mean(0) - further.mean(1)) == pytest.approx([0.0, 0.0], abs=4 * spread.max() / 3000**0.5)
    alike = further.std(1) / count**0.5 * ((60 - count) / 59) ** 0.5
    assert (spread < 0.7 * alike).all()


def test_all_images_give_the_mean_itself():
    earlier = errors(3)
    sample = sample_images(earlier, 60)
    assert sample.images.tolist() == list(range(60))
    assert sample.mean(earlier) == pytest.approx(earlier.mean(1))


def test_candidates_that_lose_nothing_teach_nothing():
    assert image_importance(np.zeros((2, 4))).tolist() == [0.25] * 4


@pytest.mark.parametrize(
    "figures", [np.zeros((0, 3)), np.zeros((3, 0)), np.ones(3), np.full((1, 2), -1.0), np.full((1, 2), np.nan)]
)
def test_figures_that_are_none(figures):
    with pytest.raises(RunError, match=r"^image importance wants finite errors of at least 0"):
        image_importance(figures)


@pytest.mark.parametrize("count", [0, 61])
def test_counts(count):
    with pytest.raises(RunError, match=f"^from 1 to 60 images can be drawn, got {count}$"):
        sample_images(errors(0), count)
