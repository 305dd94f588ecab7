import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.compensation import obs_saliency, obs_sweep, refit
from rlcompress.compensation.obs import inverse_factor
from rlcompress.pruning import element_mask
from rlcompress.quantization import fit_scale, largest_code
from tests.compensation.problems import output_error, random_layer


def nearest(weight, mask, scale, limit):
    return (weight / scale[..., None]).round().clamp(-limit, limit) * mask


def swept(weight, mask, bits, hessian):
    scale = fit_scale((weight * mask).flatten(0, 1), bits).view(weight.shape[:2])
    codes = obs_sweep(weight, mask, scale[None], torch.tensor([largest_code(bits)]), hessian)[0]
    return codes, scale


@given(seed=st.integers(0, 200), bits=st.integers(2, 8), steps=st.integers(4, 20), groups=st.sampled_from([1, 3]))
@settings(max_examples=40)
def test_codes_are_integers_in_range_and_zero_where_masked(seed, bits, steps, groups):
    weight, _, hessian = random_layer(seed, groups)
    mask = element_mask(weight.abs(), steps / 20)
    codes, _ = swept(weight, mask, bits, hessian)
    assert codes.shape == weight.shape
    assert torch.equal(codes, codes.round())
    assert codes.abs().max() <= largest_code(bits)
    assert not codes[~mask].any()


@pytest.mark.parametrize(
    ("bits", "keep_ratio", "gain"), [(2, 1.0, 0.6), (3, 1.0, 0.5), (4, 1.0, 0.5), (8, 0.5, 0.75), (4, 0.5, 0.75)]
)
def test_sweep_beats_rounding_to_nearest_in_the_outputs(bits, keep_ratio, gain):
    ratios = []
    for seed in range(20):
        weight, _, hessian = random_layer(seed)
        mask = element_mask(weight.abs(), keep_ratio)
        codes, scale = swept(weight, mask, bits, hessian)
        plain = nearest(weight, mask, scale, largest_code(bits))
        have = output_error(codes * scale[..., None] - weight, hessian)
        ratios.append(have / output_error(plain * scale[..., None] - weight, hessian))
    assert sum(ratio <= 1.0 for ratio in ratios) >= 19
    assert sum(ratios) / len(ratios) < gain


def test_a_grid_of_exact_values_stays_as_it_is():
    _, _, hessian = random_layer(0)
    codes = torch.randint(-7, 8, (1, 8, 18), generator=torch.Generator().manual_seed(0)).float()
    scale = torch.linspace(0.1, 2.0, 8)[None, None]
    result = obs_sweep(
        codes * scale[0, ..., None], torch.ones(1, 8, 18, dtype=torch.bool), scale, torch.tensor([7]), hessian
    )
    assert torch.equal(result[0], codes)


def test_a_fine_scale_changes_nothing():
    weight, _, hessian = random_layer(1)
    scale = torch.full((1, 1, 8), 1e-5)
    codes = obs_sweep(weight, torch.ones_like(weight, dtype=torch.bool), scale, torch.tensor([10**7]), hessian)[0]
    torch.testing.assert_close(codes * 1e-5, weight, atol=1e-4, rtol=0)


def test_uncorrelated_inputs_give_rounding_to_nearest():
    weight, _, _ = random_layer(2)
    mask = element_mask(weight.abs(), 0.7)
    codes, scale = swept(weight, mask, 4, torch.diag(torch.arange(1.0, 19.0))[None])
    assert torch.equal(codes, nearest(weight, mask, scale, 7))


def test_two_columns_by_hand():
    # H = [[4, 1], [1, 2]] is damped by 1 % of its mean diagonal. Column 0 (the larger power) goes: column 1 takes up
    # w0 * H01 / H11.
    hessian, weight = torch.tensor([[[4.0, 1.0], [1.0, 2.0]]]), torch.tensor([[[0.5, 3.0]]])
    mask, scale = torch.tensor([[[False, True]]]), torch.full((1, 1, 1), 1e-4)
    codes = obs_sweep(weight, mask, scale, torch.tensor([10**6]), hessian)[0]
    assert (codes * 1e-4).flatten().tolist() == pytest.approx([0.0, 3.0 + 0.5 * 1.0 / 2.03], abs=1e-4)


def test_blocks_of_columns_are_only_a_matter_of_speed():
    weight, _, hessian = random_layer(8, rows=4, columns=150)  # more than two blocks
    mask = element_mask(weight.abs(), 0.6)
    codes, scale = swept(weight, mask, 4, hessian)
    order = hessian[0].diagonal().argsort(descending=True, stable=True)
    factor = inverse_factor(hessian[:, order][:, :, order])[0]
    left, expected = weight[0, :, order].clone(), torch.zeros(4, 150)
    for j in range(150):
        expected[:, j] = (left[:, j] / scale[0]).round().clamp(-7, 7) * mask[0, :, order[j]]
        error = (left[:, j] - expected[:, j] * scale[0]) / factor[j, j]
        left -= error[:, None] * factor[j]
    assert (codes[0, :, order] == expected).float().mean() > 0.99  # a tie may round differently


def test_quantizers_and_groups_are_swept_each_on_its_own():
    weight, _, hessian = random_layer(3, groups=2, columns=80)  # more columns than one block
    mask = element_mask(weight.abs(), 0.6)
    scales = torch.stack([fit_scale((weight * mask).flatten(0, 1), bits).view(2, 8) for bits in (3, 6)])
    # the visiting order is shared by the groups, so equal orders are needed to compare them alone
    power = torch.linspace(2.0, 1.0, 80)
    hessian = (
        hessian
        * (power / hessian.diagonal(dim1=1, dim2=2)).sqrt()[:, None]
        * (power / hessian.diagonal(dim1=1, dim2=2)).sqrt()[:, :, None]
    )
    together = obs_sweep(weight, mask, scales, torch.tensor([3, 31]), hessian)
    for q, limit in enumerate((3, 31)):
        for g in range(2):
            part = slice(g, g + 1)
            alone = obs_sweep(weight[part], mask[part], scales[q : q + 1, part], torch.tensor([limit]), hessian[part])
            assert torch.equal(together[q, part], alone[0])


@pytest.mark.parametrize(
    "hessian", [torch.zeros(1, 4, 4), torch.diag(torch.tensor([1.0, 0.0, 0.0, 2.0]))[None], torch.ones(1, 4, 4)]
)
def test_dead_and_equal_inputs_give_no_nan(hessian):
    weight = torch.tensor([[[1.0, -2.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    codes, scale = swept(weight, torch.ones_like(weight, dtype=torch.bool), 4, hessian)
    assert (codes * scale[..., None]).isfinite().all()
    assert not codes[0, 1].any()
    assert obs_saliency(weight, hessian).isfinite().all()
    assert refit(weight, hessian, torch.tensor([True, False, True, True])).isfinite().all()


def test_inverse_factor():
    _, _, hessian = random_layer(4, groups=2)
    factor = inverse_factor(hessian).double()
    damped = hessian.double() + 0.01 * torch.diag_embed(
        hessian.double().diagonal(dim1=1, dim2=2).mean(1, keepdim=True).repeat(1, 18)
    )
    torch.testing.assert_close(
        factor.transpose(1, 2) @ factor @ damped, torch.eye(18).double().repeat(2, 1, 1), atol=1e-3, rtol=0
    )
    assert torch.equal(factor, factor.triu())


def test_saliency_is_the_error_that_removing_causes():
    weight, _, hessian = random_layer(5, rows=1, columns=6)
    damped = hessian[0].double() + 0.01 * hessian[0].diagonal().mean() * torch.eye(6)
    saliency = obs_saliency(weight, hessian).flatten()
    for j in range(6):
        others = [i for i in range(6) if i != j]
        change = torch.zeros(6, dtype=torch.double)
        change[j] = -weight[0, 0, j]
        change[others] = torch.linalg.solve(damped[others][:, others], -damped[others, j] * change[j])
        assert float(saliency[j]) == pytest.approx(float(change @ damped @ change), rel=1e-3)


@given(seed=st.integers(0, 100), groups=st.sampled_from([1, 2]))
@settings(max_examples=20)
def test_refit_is_damped_least_squares(seed, groups):
    weight, x, hessian = random_layer(seed, groups)
    live = torch.rand(18, generator=torch.Generator().manual_seed(seed)) < 0.6
    live[seed % 18] = True
    live[(seed + 1) % 18] = False
    fitted = refit(weight, hessian, live)
    for g in range(groups):
        inner = x[g, live].double()
        damping = 0.01 * inner.square().sum(1).mean()
        # least squares on the inputs, and on rows that pull towards the old weights
        rows = torch.cat([inner, damping.sqrt() * torch.eye(int(live.sum()))], 1)
        wanted = torch.cat([weight[g].double() @ x[g].double(), damping.sqrt() * weight[g, :, live].double()], 1)
        best = torch.linalg.lstsq(rows.T, wanted.T).solution.T
        torch.testing.assert_close(fitted[g].double(), best, atol=2e-3, rtol=1e-3)


def test_refit_without_removal_is_the_weight_itself():
    weight, _, hessian = random_layer(6)
    assert refit(weight, hessian, torch.ones(18, dtype=torch.bool)) is weight


def test_refit_lowers_the_error_of_the_outputs():
    for seed in range(10):
        weight, _, hessian = random_layer(seed)
        live = torch.arange(18) % 3 != 0
        removed, refitted = -weight * ~live, torch.zeros_like(weight)
        refitted[..., live] = refit(weight, hessian, live)
        assert output_error(refitted - weight, hessian) < 0.5 * output_error(removed, hessian)
