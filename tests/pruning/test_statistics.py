import torch

from rlcompress.pruning import LayerStatistics
from tests.compensation.problems import random_layer


def test_the_inverse_is_that_of_the_damped_hessian():
    weight, _, hessian = random_layer(4, groups=2)
    inverse = LayerStatistics(weight, hessian, 2).inverse
    damping = 0.01 * hessian.double().diagonal(dim1=1, dim2=2).mean(1)
    damped = hessian.double() + damping[:, None, None] * torch.eye(18)
    torch.testing.assert_close(inverse @ damped, torch.eye(18).double().repeat(2, 1, 1), atol=1e-5, rtol=0)


def test_the_inverse_is_computed_once():
    weight, _, hessian = random_layer(4)
    statistics = LayerStatistics(weight, hessian, 2)
    assert statistics.inverse is statistics.inverse


def test_dead_inputs_have_a_unit_diagonal():
    statistics = LayerStatistics(torch.ones(1, 1, 3), torch.zeros(1, 3, 3), 3)
    assert torch.equal(statistics.inverse, torch.eye(3).double()[None])
