import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.planning import ChoiceSpace, Proxy, SensitivityRow
from rlcompress.spec import ChoiceBatch, LayerChoice
from tests.planning.structures import CHAIN, random_table

SPACE = ChoiceSpace(CHAIN)
ROWS = [
    *(SensitivityRow("b", "weight_bits", bits, error, 0.0) for bits, error in ((2.0, 0.64), (4.0, 0.04), (8.0, 0.0))),
    SensitivityRow("c", "activation_bits", 4.0, 0.01, 0.0),
    SensitivityRow("c", "activation_bits", 5.0, 0.03, 0.0),  # noise: an error that rises with the bits
    SensitivityRow("c", "activation_bits", 8.0, 0.0, 0.0),
    SensitivityRow("b", "element", 0.5, 0.25, 0.0),
    SensitivityRow("b", "element", 0.2, 1.0, 0.0),
    SensitivityRow("c", "filter", 0.6, 0.16, 0.0),
]


def predicted(**choices):
    policy = {name: choices.get(name, LayerChoice()) for name in CHAIN.layers}
    batch = ChoiceBatch.of([policy], CHAIN.layers)
    proxy = Proxy(ROWS, SPACE)
    assert proxy.predict(batch)[0] == pytest.approx(proxy.by_factor(batch)[0].sum())
    return float(proxy.predict(batch)[0])


def test_dense_eight_bits_cause_what_was_measured():
    assert predicted() == 0.0


@pytest.mark.parametrize(("bits", "error"), [(2, 0.64), (3, 0.25), (4, 0.04), (6, 0.01), (8, 0.0)])
def test_bits_are_interpolated_in_the_square_root(bits, error):
    assert predicted(b=LayerChoice(weight_bits=bits)) == pytest.approx(error)


@pytest.mark.parametrize(("bits", "error"), [(2, 0.03), (4, 0.03), (5, 0.03), (8, 0.0)])
def test_errors_that_rise_are_levelled(bits, error):
    assert predicted(c=LayerChoice(activation_bits=bits)) == pytest.approx(error)


@pytest.mark.parametrize(
    ("granularity", "keep_ratio", "error"),
    [
        ("element", 0.5, 0.25),
        ("element", 0.75, 0.0625),
        ("element", 0.35, 0.75**2),
        ("element", 0.95, 0.0025),
        ("block", 0.5, 0.0),
    ],
)
def test_keep_ratios_are_interpolated_down_from_one(granularity, keep_ratio, error):
    assert predicted(b=LayerChoice(granularity=granularity, keep_ratio=keep_ratio)) == pytest.approx(error)


def test_layers_and_factors_add_up():
    both = predicted(
        b=LayerChoice(granularity="element", keep_ratio=0.5, weight_bits=4),
        c=LayerChoice(granularity="filter", keep_ratio=0.6),
    )
    assert both == pytest.approx(0.25 + 0.04 + 0.16)


@given(seed=st.integers(0, 100))
def test_more_bits_and_more_weights_are_never_worse(seed):
    proxy = Proxy(random_table(SPACE, seed), SPACE)
    for array in (proxy.weight, proxy.activation, proxy.pruning):
        assert np.all(np.diff(array, axis=-1) <= 1e-12)
        assert np.all(array >= 0)
    assert not proxy.pruning[..., -1].any()
