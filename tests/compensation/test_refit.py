import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.compensation import obs_sweep, refit
from rlcompress.pruning import element_mask
from rlcompress.quantization import nearest_integer
from tests.compensation.problems import inputs_of, output_error, random_layer


def test_by_hand():
    """Equal inputs: the one that stays takes the other's weight, but for the damping of 1 %."""
    weight, hessian = torch.tensor([[[1.0, 2.0]]]), torch.ones(1, 2, 2)
    fitted = refit(weight, torch.tensor([[[True, False]]]), hessian).flatten().tolist()
    assert fitted == pytest.approx([1.0 + 2.0 / 1.01, 0.0])


@given(seed=st.integers(0, 100), groups=st.sampled_from([1, 2]))
@settings(max_examples=20)
def test_it_comes_near_damped_least_squares_of_every_row_on_its_own_support(seed, groups):
    weight, x, hessian = random_layer(seed, groups)
    mask = torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    fitted = refit(weight, mask, hessian)
    assert not fitted[~mask].any()
    errors = {"least": 0.0, "fitted": 0.0}
    for g in range(groups):
        damping = 0.01 * x[g].double().square().mean(1).mean()
        rows = torch.cat([x[g].double() / x.shape[2] ** 0.5, damping.sqrt() * torch.eye(18)], 1)
        for k in range(weight.shape[1]):
            live, wanted = mask[g, k], weight[g, k].double() @ rows
            best = torch.linalg.lstsq(rows[live].T, wanted[:, None]).solution.flatten()
            errors["least"] += float((best @ rows[live] - wanted).square().sum())
            errors["fitted"] += float((fitted[g, k].double() @ rows - wanted).square().sum())
    assert errors["least"] * (1 - 1e-6) <= errors["fitted"] <= errors["least"] * 1.002


def test_without_removal_it_is_the_weight_itself():
    weight, _, hessian = random_layer(6)
    assert refit(weight, torch.ones_like(weight, dtype=torch.bool), hessian) is weight


def test_the_error_is_far_below_that_of_masking_and_below_that_of_the_sweep():
    for seed in range(10):
        weight, _, hessian = random_layer(seed)
        mask = element_mask(weight.abs(), 0.5)
        scale = torch.full((1, 1, 8), 1e-4)
        swept = obs_sweep(weight, mask, scale, nearest_integer([10**6]), *inputs_of(hessian))[0] * 1e-4
        errors = [output_error(other - weight, hessian) for other in (refit(weight, mask, hessian), swept)]
        assert errors[0] < 0.3 * output_error(weight * mask - weight, hessian)
        assert errors[0] < errors[1]


@pytest.mark.parametrize(
    "hessian", [torch.zeros(1, 4, 4), torch.diag(torch.tensor([1.0, 0.0, 0.0, 2.0]))[None], torch.ones(1, 4, 4)]
)
def test_dead_and_equal_inputs_give_no_nan(hessian):
    weight = torch.tensor([[[1.0, -2.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    mask = torch.tensor([[[True, False, True, True], [False, False, True, False]]])
    assert refit(weight, mask, hessian).isfinite().all()
