import pytest
import torch as th
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.agents.rainbow.targets import divergence, importance_weights, leaving, project

SUPPORT = th.linspace(-2, 2, 5)


def one(*values):
    return th.tensor([values], dtype=th.float32)


@pytest.mark.parametrize(
    ("reward", "discount", "expected"),
    [
        (0.0, 1.0, [0.1, 0.2, 0.4, 0.2, 0.1]),
        (1.0, 1.0, [0, 0.1, 0.2, 0.4, 0.3]),
        (0.5, 0.0, [0, 0, 0.5, 0.5, 0]),
        (9.0, 1.0, [0, 0, 0, 0, 1]),
        (0.0, 0.5, [0, 0.2, 0.6, 0.2, 0]),
    ],
)
def test_projection_by_hand(reward, discount, expected):
    got = project(one(0.1, 0.2, 0.4, 0.2, 0.1), one(reward), one(discount), SUPPORT)
    assert got[0].tolist() == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.floats(-5, 5), min_size=5, max_size=5), st.floats(-3, 3), st.floats(0, 1))
def test_projection_keeps_mass_and_inside_the_support_the_mean(logits, reward, discount):
    probabilities = one(*logits).softmax(1)
    moved = (reward + discount * SUPPORT).clamp(-2, 2)
    got = project(probabilities, one(reward), one(discount), SUPPORT)
    assert got.sum().item() == pytest.approx(1, abs=1e-5)
    assert (got @ SUPPORT).item() == pytest.approx((probabilities @ moved).item(), abs=1e-5)


@pytest.mark.parametrize(
    ("reward", "discount", "expected"),
    [
        (0.0, 1.0, False),
        (1.5, 1.0, False),
        (1.7, 1.0, True),
        (-2.5, 1.0, True),
        (2.0, 0.0, False),
        (2.0 + 1e-6, 0.0, False),
    ],
)
def test_targets_whose_mean_leaves_the_support(reward, discount, expected):
    got = leaving(one(0.0, 0.0, 0.6, 0.4, 0.0), one(reward), one(discount), SUPPORT)  # a mean of 0.4
    assert got.tolist() == [expected]


def test_divergence_is_zero_for_equal_and_positive_for_other_distributions():
    target = one(0.0, 0.25, 0.75)
    assert divergence(target, (target + 1e-30).log()).item() == pytest.approx(0, abs=1e-6)
    assert divergence(target, one(1, 1, 1).log_softmax(1)).item() > 0.1


def test_importance_weights():
    probabilities = th.tensor([[0.5], [1.0], [2.0]])
    assert importance_weights(probabilities, 0.0).tolist() == [1, 1, 1]
    assert importance_weights(probabilities, 1.0).tolist() == pytest.approx([1, 0.5, 0.25])
