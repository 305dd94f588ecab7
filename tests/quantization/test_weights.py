import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.quantization import QuantizedWeight, fit_scale, largest_code

WIDTHS = (2, 3, 4, 5, 6, 7, 8, 16)


def rounded(weight, scale, bits):
    limit = largest_code(bits)
    column = scale.view(-1, *[1] * (weight.dim() - 1))
    return (weight / column).round().clamp(-limit, limit) * column


def error(weight, scale, bits):
    return (rounded(weight, scale, bits) - weight).square().flatten(1).sum(1)


def test_largest_codes():
    assert [largest_code(bits) for bits in WIDTHS] == [1, 3, 7, 15, 31, 63, 127, 32767]


@given(seed=st.integers(0, 1000), bits=st.sampled_from(WIDTHS), magnitude=st.floats(1e-6, 1e6), heavy=st.booleans())
@settings(max_examples=60)
def test_never_worse_than_the_largest_magnitude(seed, bits, magnitude, heavy):
    weight = magnitude * torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(seed))
    weight = weight**3 if heavy else weight
    scale = fit_scale(weight, bits)
    assert scale.shape == (6,)
    assert scale.dtype == torch.float32
    assert (scale > 0).all()
    plain = weight.flatten(1).abs().amax(1) / largest_code(bits)
    assert (error(weight, scale, bits) <= error(weight, plain, bits) * (1 + 1e-6)).all()


@given(seed=st.integers(0, 1000), bits=st.sampled_from(WIDTHS), power=st.sampled_from([0.0, 1.0, 3.0]))
@settings(max_examples=60)
def test_no_clipping_range_loses_less(seed, bits, power):
    weight = torch.randn(8, 40, generator=torch.Generator().manual_seed(seed))
    weight = weight.sign() * weight.abs() ** power
    largest = weight.abs().amax(1) / largest_code(bits)
    others = torch.stack([error(weight, float(share) * largest, bits) for share in torch.linspace(0.35, 1.0, 40)])
    assert (error(weight, fit_scale(weight, bits), bits) <= others.amin(0) * (1 + 1e-4) + 1e-10).all()


@pytest.mark.parametrize("bits", WIDTHS)
def test_values_on_the_grid_are_exact(bits):
    limit = largest_code(bits)
    codes = torch.tensor([[-limit, 0, limit], [limit, 1 - limit, 1]]).float()
    weight = codes * torch.tensor([[0.25], [4.0]])
    torch.testing.assert_close(rounded(weight, fit_scale(weight, bits), bits), weight, rtol=1e-6, atol=0)


def test_ternary_scale_by_hand():
    # codes (1, 1, 0, 0) or (1, 0, 0, 0): the best scale of the first is 0.9, which is 0.9 of the largest magnitude
    weight = torch.tensor([[1.0, 0.8, 0.0, -0.1]])
    assert float(fit_scale(weight, 2)) == pytest.approx(0.9, abs=0.01)


def test_channels_are_fitted_each_on_its_own():
    weight = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, 5).view(
        -1, 1, 1, 1
    )
    together = fit_scale(weight, 4)
    assert torch.equal(together, torch.cat([fit_scale(row[None], 4) for row in weight]))


@pytest.mark.parametrize("bits", WIDTHS)
def test_a_channel_of_zeros_has_a_positive_scale_and_no_nan(bits):
    weight = torch.zeros(2, 3, 1, 1)
    weight[1] = 1.0
    scale = fit_scale(weight, bits)
    assert (scale > 0).all()
    assert torch.equal(rounded(weight, scale, bits)[0], torch.zeros(3, 1, 1))


def test_dequantized_is_codes_times_scales():
    codes = torch.tensor([[[[1]], [[-3]]], [[[0]], [[127]]]], dtype=torch.int8)
    weight = QuantizedWeight(codes, torch.tensor([0.5, 2.0])).dequantized()
    assert weight.dtype == torch.float32
    assert weight.flatten().tolist() == [0.5, -1.5, 0.0, 254.0]
