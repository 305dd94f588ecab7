import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.agents.rainbow.sum_tree import SumTree

VALUES = st.lists(st.one_of(st.just(0.0), st.floats(0.01, 100)), min_size=1, max_size=40).filter(any)


@given(VALUES, st.floats(0, 1, exclude_max=True))
def test_find_agrees_with_the_running_sum(values, share):
    tree = SumTree(len(values))
    tree[np.arange(len(values))] = np.array(values)
    assert np.isclose(tree.total, sum(values))
    found = tree.find(np.array([share * tree.total]))[0]
    below = np.cumsum(values)[found] - values[found]
    assert values[found] > 0
    assert below - 1e-6 <= share * tree.total <= below + values[found] + 1e-6


def test_draws_are_in_proportion_to_the_values():
    tree = SumTree(3)
    tree[np.array([0, 1, 2])] = np.array([1.0, 0.0, 3.0])
    mass = np.random.default_rng(0).uniform(0, tree.total, 4000)
    share = np.bincount(tree.find(mass), minlength=3) / 4000
    np.testing.assert_allclose(share, [0.25, 0, 0.75], atol=0.03)


def test_values_are_replaced():
    tree = SumTree(5)
    tree[np.array([1, 4])] = np.array([2.0, 3.0])
    tree[np.array([4])] = np.array([1.0])
    assert tree.total == 3.0
    np.testing.assert_array_equal(tree[np.array([0, 1, 4])], [0, 2, 1])
