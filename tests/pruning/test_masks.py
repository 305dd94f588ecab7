import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.pruning import CRITERIA, element_mask, filter_classes
from rlcompress.spec import keep_count


def test_the_most_important_elements_stay():
    importance = torch.tensor([[3.0, 1.0], [2.0, 5.0]])
    assert element_mask(importance, 0.5).tolist() == [[True, False], [False, True]]
    assert element_mask(importance, 0.01).tolist() == [[False, False], [False, True]]
    assert element_mask(importance, 1.0).all()


@given(rows=st.integers(1, 8), columns=st.integers(1, 8), steps=st.integers(1, 20), levels=st.integers(1, 4))
def test_exactly_as_many_stay_even_with_ties(rows, columns, steps, levels):
    importance = torch.randint(levels, (rows, columns), generator=torch.Generator().manual_seed(rows)).float()
    mask = element_mask(importance, steps / 20)
    assert int(mask.sum()) == keep_count(rows * columns, steps / 20)
    if not mask.all():
        assert importance[mask].min() >= importance[~mask].max()


CLASSES = {"a": np.array([0, 1, 2, 3]), "b": np.array([4, 0, 1, 5, 2, 3])}  # b: option A, 4 and 5 are its own


def test_coupled_layers_vote_on_shared_classes():
    importance = {
        "a": torch.tensor([[9.0], [1.0], [1.0], [1.0]]),  # mean 3
        "b": torch.tensor([[1.0], [0.0], [0.0], [2.0], [3.0], [0.0]]),  # mean 1
    }
    # shared classes: 0 -> 3, 1 -> 1/3, 2 -> 1/3 + 3, 3 -> 1/3; own ones: 4 -> 1, 5 -> 2
    assert filter_classes(importance, CLASSES, 0.5) == {0, 2, 5}
    assert filter_classes(importance, CLASSES, 0.25) == {2, 5}
    assert filter_classes(importance, CLASSES, 0.75) == {2, 0, 1, 5, 4}


@given(steps=st.integers(1, 20), seed=st.integers(0, 50))
def test_every_stratum_keeps_the_share(steps, seed):
    generator = torch.Generator().manual_seed(seed)
    importance = {name: torch.rand(len(c), 2, 3, generator=generator) for name, c in CLASSES.items()}
    kept = filter_classes(importance, CLASSES, steps / 20)
    assert len(kept & {0, 1, 2, 3}) == keep_count(4, steps / 20)
    assert len(kept & {4, 5}) == keep_count(2, steps / 20)


def test_scale_of_a_layer_does_not_matter_and_dead_layers_do_not_vote():
    generator = torch.Generator().manual_seed(0)
    importance = {name: torch.rand(len(c), 5, generator=generator) for name, c in CLASSES.items()}
    kept = filter_classes(importance, CLASSES, 0.5)
    assert filter_classes({**importance, "a": importance["a"] * 1000}, CLASSES, 0.5) == kept
    alone = filter_classes({"b": importance["b"]}, CLASSES, 0.5)
    assert len(alone) == 3
    dead = filter_classes({"a": torch.zeros(4, 5), "b": importance["b"]}, CLASSES, 0.5)
    ranked = sorted({0: 1, 1: 2, 2: 4, 3: 5}.items(), key=lambda item: -float(importance["b"][item[1]].sum()))
    assert dead & {0, 1, 2, 3} == {c for c, _ in ranked[:2]}


def test_criteria_by_hand():
    weight, hessian = torch.tensor([[[1.0, -2.0]]]), torch.tensor([[[9.0, 1.0], [1.0, 0.25]]])
    scores = {name: criterion(weight, hessian).flatten().tolist() for name, criterion in CRITERIA.items()}
    assert scores == {"l1": [1.0, 2.0], "l2": [1.0, 4.0], "activation": [9.0, 1.0]}


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)
def test_criteria_keep_the_shape_of_groups(criterion):
    weight, hessian = torch.randn(3, 2, 4), torch.eye(4).repeat(3, 1, 1)
    scores = criterion(weight, hessian)
    assert scores.shape == weight.shape
    assert (scores >= 0).all()
