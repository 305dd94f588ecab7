import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.compensation import obs_sweep
from rlcompress.pruning import element_mask
from rlcompress.pruning.statistics import damped_inverse
from rlcompress.quantization import fit_scale, largest_code, nearest_integer
from tests.compensation.problems import inputs_of, output_error, random_layer


def nearest(weight, mask, scale, limit):
    return (weight / scale[..., None]).round().clamp(-limit, limit) * mask


def swept(weight, mask, bits, hessian):
    scale = fit_scale((weight * mask).flatten(0, 1), bits).view(weight.shape[:2])
    codes = obs_sweep(weight, mask, scale[None], nearest_integer([largest_code(bits)]), *inputs_of(hessian))[0]
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
    weight, mask = codes * scale[0, ..., None], torch.ones(1, 8, 18, dtype=torch.bool)
    result = obs_sweep(weight, mask, scale, nearest_integer([7]), *inputs_of(hessian))
    assert torch.equal(result[0], codes)


def test_a_fine_scale_changes_nothing():
    weight, _, hessian = random_layer(1)
    scale = torch.full((1, 1, 8), 1e-5)
    mask = torch.ones_like(weight, dtype=torch.bool)
    codes = obs_sweep(weight, mask, scale, nearest_integer([10**7]), *inputs_of(hessian))[0]
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
    codes = obs_sweep(weight, mask, scale, nearest_integer([10**6]), *inputs_of(hessian))[0]
    assert (codes * 1e-4).flatten().tolist() == pytest.approx([0.0, 3.0 + 0.5 * 1.0 / 2.03], abs=1e-4)


def test_blocks_of_columns_are_only_a_matter_of_speed():
    weight, _, hessian = random_layer(8, rows=4, columns=150)  # more than two blocks
    mask = element_mask(weight.abs(), 0.6)
    codes, scale = swept(weight, mask, 4, hessian)
    order = hessian[0].diagonal().argsort(descending=True, stable=True)
    factor = torch.linalg.cholesky(damped_inverse(hessian)[0, order][:, order], upper=True).float()
    left, expected = weight[0, :, order].clone(), torch.zeros(4, 150)
    for j in range(150):
        expected[:, j] = (left[:, j] / scale[0]).round().clamp(-7, 7) * mask[0, :, order[j]]
        error = (left[:, j] - expected[:, j] * scale[0]) / factor[j, j]
        left -= error[:, None] * factor[j]
    assert (codes[0, :, order] == expected).float().mean() > 0.99  # a tie may round differently


def test_rows_beyond_a_blocks_values_are_swept_as_all_others(monkeypatch):
    weight, _, hessian = random_layer(9, groups=2, rows=5, columns=70)
    mask = element_mask(weight.abs(), 0.6)
    together, _ = swept(weight, mask, 4, hessian)
    monkeypatch.setattr("rlcompress.compensation.obs._VALUES", 2 * 64 * 2)  # two rows of both groups
    codes, _ = swept(weight, mask, 4, hessian)
    assert (codes == together).float().mean() > 0.99  # a tie may round differently


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
    together = obs_sweep(weight, mask, scales, nearest_integer([3, 31]), *inputs_of(hessian))
    for q, limit in enumerate((3, 31)):
        for g in range(2):
            part = slice(g, g + 1)
            nearest = nearest_integer([limit])
            alone = obs_sweep(weight[part], mask[part], scales[q : q + 1, part], nearest, *inputs_of(hessian[part]))
            assert torch.equal(together[q, part], alone[0])


@pytest.mark.parametrize(
    "hessian", [torch.zeros(1, 4, 4), torch.diag(torch.tensor([1.0, 0.0, 0.0, 2.0]))[None], torch.ones(1, 4, 4)]
)
def test_dead_and_equal_inputs_give_no_nan(hessian):
    weight = torch.tensor([[[1.0, -2.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    codes, scale = swept(weight, torch.ones_like(weight, dtype=torch.bool), 4, hessian)
    assert (codes * scale[..., None]).isfinite().all()
    assert not codes[0, 1].any()
