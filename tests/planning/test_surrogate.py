import numpy as np
import pytest

from rlcompress.planning import ChoiceSpace, Proxy, Surrogate
from rlcompress.planning.batches import row
from rlcompress.spec import ChoiceBatch
from tests.planning.structures import CHAIN, random_table

SPACE = ChoiceSpace(CHAIN, granularities=("element",))
PROXY = Proxy(random_table(SPACE, 3), SPACE)
VARIANCE = 1.0
SLOPE = 60.0
TRUE = np.random.default_rng(9).normal(0.0, 0.5, 3 * len(SPACE.layers))


def policies(count, seed):
    generator, shape = np.random.default_rng(seed), (count, len(SPACE.layers))
    bits = (generator.integers(3, 9, shape) for _ in range(2))
    return SPACE.snapped(ChoiceBatch(np.ones(shape, np.int64), generator.uniform(0.4, 1.0, shape), *bits))


def true_error(batch):
    return 1.1 * (PROXY.by_factor(batch) * np.exp(TRUE)).sum(axis=1)


def taught(count, **options):
    surrogate = Surrogate(PROXY, VARIANCE, SLOPE, **options)
    batch = policies(count, 0)
    errors = true_error(batch) / VARIANCE
    for i, error in enumerate(errors):
        surrogate.learn(row(batch, i), error, 50.0 * errors[: i + 1])
    return surrogate


def test_without_measurements_the_error_is_the_proxys():
    batch = policies(5, 1)
    assert Surrogate(PROXY, VARIANCE, SLOPE).error(batch) == pytest.approx(PROXY.predict(batch) / VARIANCE, rel=1e-6)


def test_measurements_correct_the_error_of_unseen_policies():
    batch = policies(50, 1)
    wrong, corrected = (np.abs(np.log(taught(n).error(batch) * VARIANCE / true_error(batch))) for n in (0, 60))
    assert corrected.mean() < 0.5 * wrong.mean()


def test_the_drop_is_the_error_times_the_measured_slope():
    surrogate = taught(60)
    batch = policies(20, 2)
    assert surrogate.drop(batch) == pytest.approx(50.0 * surrogate.error(batch), rel=0.1)
    limit = surrogate.error_at(1.0)
    assert surrogate.drop_at(np.array([limit]))[0] == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("slope", [1.0, 60.0])
def test_until_something_is_measured_the_slope_is_the_given_one(slope):
    surrogate = Surrogate(PROXY, VARIANCE, slope)
    assert surrogate.drop_at(np.array([0.02]))[0] == pytest.approx(0.02 * slope)
    assert surrogate.error_at(0.02) == pytest.approx(0.02 / slope, rel=0.05)


def test_slope_only_leaves_the_error_alone():
    batch = policies(5, 1)
    surrogate = taught(30, corrects=False)
    assert surrogate.error(batch) == pytest.approx(PROXY.predict(batch) / VARIANCE, rel=1e-6)
    assert surrogate.drop(batch)[0] != Surrogate(PROXY, VARIANCE, SLOPE).drop(batch)[0]


def test_what_is_measured_becomes_certain():
    batch = policies(10, 2)
    before, after = (taught(n).spread(batch) for n in (0, 60))
    assert np.all(after < before)


def test_samples_spread_as_the_posterior_says():
    surrogate, generator, batch = taught(20), np.random.default_rng(0), policies(3, 4)
    drawn = np.log([surrogate.error(batch, surrogate.sampled(generator)) for _ in range(400)])
    assert drawn.mean(axis=0) == pytest.approx(np.log(surrogate.error(batch)), abs=0.1)
    assert drawn.std(axis=0) == pytest.approx(np.sqrt(surrogate.spread(batch) ** 2 - 0.1**2), rel=0.25)
