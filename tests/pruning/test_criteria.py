import pytest
import torch

from rlcompress.pruning import CRITERIA


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
