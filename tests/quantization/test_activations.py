import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.quantization import ActivationQuantizer, ActivationRange, fit_ranges

WIDTHS = (2, 3, 4, 5, 6, 7, 8, 16)


def samples(kind, seed=0, count=4000):
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(count, generator=generator)
    return {
        "normal": normal,
        "half normal": normal.abs(),
        "relu": normal.relu(),
        "negative": -normal.abs(),
        "uniform": torch.rand(count, generator=generator),
        "shifted": normal + 2,
    }[kind]


def squared_error(fitted, values):
    return float((fitted.quantized(values) - values).double().square().mean())


def test_codes_by_hand():
    fitted = ActivationRange(scale=0.5, zero_point=1, bits=2)  # -0.5, 0, 0.5, 1
    values = torch.tensor([-3.0, -0.4, -0.2, 0.0, 0.6, 0.8, 5.0])
    assert fitted.quantized(values).tolist() == [-0.5, -0.5, 0.0, 0.0, 0.5, 1.0, 1.0]


@given(
    kind=st.sampled_from(["normal", "half normal", "relu", "negative", "uniform", "shifted"]),
    bits=st.sampled_from(WIDTHS),
    magnitude=st.floats(1e-4, 1e4),
    seed=st.integers(0, 100),
)
@settings(max_examples=60)
def test_ranges_hold_zero_and_are_no_worse_than_the_observed_range(kind, bits, magnitude, seed):
    values = magnitude * samples(kind, seed, count=500)
    fitted = fit_ranges(values, [bits])[bits]
    assert fitted.bits == bits
    assert fitted.scale > 0
    assert 0 <= fitted.zero_point < 2**bits
    assert float(fitted.quantized(torch.zeros(1))) == 0.0
    assert len(fitted.quantized(values).unique()) <= 2**bits
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    scale = (high - low) / (2**bits - 1)
    observed = ActivationRange(scale, round(-low / scale), bits)
    assert squared_error(fitted, values) <= squared_error(observed, values) * (1 + 1e-6)


@pytest.mark.parametrize("kind", ["uniform", "half normal", "relu"])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_close_to_the_best_scale_of_a_brute_force_search(kind, bits):
    values = samples(kind)
    best = min(
        squared_error(ActivationRange(float(top) / (2**bits - 1), 0, bits), values)
        for top in np.linspace(0.02, 1.0, 400) * float(values.max())
    )
    assert best <= squared_error(fit_ranges(values, [bits])[bits], values) <= 1.02 * best


def test_uniform_inputs_are_hardly_clipped_and_normal_ones_are():
    # the best 16 levels of a uniform tensor lie in the middles of equal cells, the first at 0 half as wide
    assert fit_ranges(samples("uniform"), [4])[4].scale * 15 == pytest.approx(15 / 15.5, abs=0.02)
    # the optimal 2-bit clipping of a half normal with zero among the levels; levels 0, s, 2s, 3s with s close to 0.65
    assert fit_ranges(samples("half normal", count=20_000), [2])[2].scale == pytest.approx(0.65, abs=0.06)


@pytest.mark.parametrize("bits", WIDTHS)
def test_a_constant_zero_tensor(bits):
    fitted = fit_ranges(torch.zeros(3, 4), [bits])[bits]
    assert torch.equal(fitted.quantized(torch.zeros(5)), torch.zeros(5))


def test_more_bits_are_never_worse():
    values = samples("normal")
    errors = [squared_error(fitted, values) for fitted in fit_ranges(values, WIDTHS).values()]
    assert errors == sorted(errors, reverse=True)


def test_quantizer_passes_everything_through_until_it_has_a_range():
    quantizer, x = ActivationQuantizer(), samples("normal")[:10]
    assert quantizer(x) is x
    quantizer.range = ActivationRange(0.5, 1, 2)
    assert set(quantizer(x).tolist()) <= {-0.5, 0.0, 0.5, 1.0}
    assert "scale=0.5" in repr(quantizer)
