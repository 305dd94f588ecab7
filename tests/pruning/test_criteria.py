import pytest
import torch

from rlcompress.errors import RunError
from rlcompress.pruning import CRITERIA, LayerStatistics
from tests.compensation.problems import random_layer


def scores(name, weight, hessian, inputs=None, gradient=None):
    weight, hessian = torch.tensor(weight)[None], torch.tensor(hessian)[None]
    gradient = None if gradient is None else torch.tensor(gradient)[None]
    return CRITERIA[name](LayerStatistics(weight, hessian, inputs or weight.shape[2], gradient))[0].tolist()


@pytest.mark.parametrize(
    ("criterion", "expected"), [("l1", [1.0, 2.0]), ("l2", [1.0, 4.0]), ("activation", [9.0, 1.0])]
)
def test_single_weights_by_hand(criterion, expected):
    assert scores(criterion, [[1.0, -2.0]], [[9.0, 1.0], [1.0, 0.25]]) == [expected]


def test_taylor_by_hand():
    assert scores("taylor", [[1.0, -2.0]], [[1.0, 0.0], [0.0, 1.0]], gradient=[[3.0, 0.5]]) == [[9.0, 1.0]]
    with pytest.raises(RunError, match="needs gradients"):
        scores("taylor", [[1.0]], [[1.0]])


def test_reconstruction_by_hand():
    """Channel 0 has weights (1, -1) that its inputs' correlation cancels, channel 1 (1, 1)."""
    together = [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    assert scores("reconstruction", [[1.0, -1.0, 1.0, 1.0]], together, inputs=2) == [[0.0, 0.0, 1.5, 1.5]]


def test_reconstruction_sums_to_the_error_of_removing_a_channel():
    weight, x, hessian = random_layer(3, groups=2)
    total = CRITERIA["reconstruction"](LayerStatistics(weight, hessian, 6)).unflatten(2, (6, 3)).sum((1, 3))
    for g in range(2):
        for c in range(6):
            part = slice(3 * c, 3 * c + 3)
            error = (weight[g, :, part] @ x[g, part]).square().sum() / x.shape[2]
            assert float(total[g, c]) == pytest.approx(float(error), rel=1e-4)


def test_redundancy_by_hand():
    """Row 1 says half of what row 0 says, row 2 something else; row 3 has cosine 0.6 with row 0."""
    weight = [[2.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.6, 0.0, 0.8]]
    rows = torch.tensor(scores("redundancy", weight, torch.eye(3).tolist())).sum(1)
    torch.testing.assert_close(rows, torch.tensor([4.0, 0.0, 9.0, 1 - 0.36]))


def test_one_of_two_equal_filters_stays():
    rows = torch.tensor(scores("redundancy", [[1.0, 1.0], [1.0, 1.0]], torch.eye(2).tolist())).sum(1)
    assert rows.tolist() == pytest.approx([2.0, 0.0], abs=1e-6)


def test_redundancy_is_of_responses_not_of_weights():
    """Different weights on inputs that are always equal say the same."""
    rows = torch.tensor(scores("redundancy", [[2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]])).sum(1)
    assert rows.tolist() == pytest.approx([4.0, 0.0], abs=1e-6)


def test_blended_follows_agreement_and_trusts_the_criterion_that_errs_less():
    agreed = scores("blended", [[1.0, 2.0, 3.0, 4.0]], torch.eye(4).tolist())
    assert agreed == [pytest.approx([0.0, 1.0, 2.0, 3.0])]
    # magnitude would keep the large weights on silent inputs: its ranks hardly count
    power = torch.diag(torch.tensor([1e-4, 1e-4, 4.0, 4.0])).tolist()
    blend = scores("blended", [[3.0, 4.0, 1.0, 1.5]], power)[0]
    assert blend == [pytest.approx(v, abs=0.01) for v in (0.0, 1.0, 2.0, 3.0)]


def test_bernoulli_is_a_fixed_draw_that_looks_at_nothing():
    first = scores("bernoulli", [[1.0, 2.0, 3.0]], torch.eye(3).tolist())
    assert first == scores("bernoulli", [[9.0, 0.0, -3.0]], torch.eye(3).tolist())
    assert len(set(first[0])) == 3


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)
@pytest.mark.parametrize("power", [1.0, 0.0], ids=["live", "dead"])
def test_criteria_keep_the_shape_of_groups(criterion, power):
    weight, hessian = torch.randn(3, 2, 4), power * torch.eye(4).repeat(3, 1, 1)
    importance = criterion(LayerStatistics(weight * power, hessian, 2, torch.ones_like(weight)))
    assert importance.shape == weight.shape
    assert (importance >= 0).all()


def test_saliency_is_the_error_that_removing_causes():
    weight, _, hessian = random_layer(5, rows=1, columns=6)
    damped = hessian[0].double() + 0.01 * hessian[0].diagonal().mean() * torch.eye(6)
    saliency = CRITERIA["obs"](LayerStatistics(weight, hessian, 6)).flatten()
    for j in range(6):
        others = [i for i in range(6) if i != j]
        change = torch.zeros(6, dtype=torch.double)
        change[j] = -weight[0, 0, j]
        change[others] = torch.linalg.solve(damped[others][:, others], -damped[others, j] * change[j])
        assert float(saliency[j]) == pytest.approx(float(change @ damped @ change), rel=1e-3)
