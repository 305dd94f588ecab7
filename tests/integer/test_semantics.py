"""The grid: any order of float32 arithmetic, fused or not, gives what exact arithmetic gives."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.integer.semantics import Bounds, FixedPoint, grid_step, requantization
from rlcompress.quantization import ActivationRange

SCALES = st.floats(1e-4, 10.0)
BITS = st.integers(2, 8)


@st.composite
def ranges(draw):
    bits = draw(BITS)
    return ActivationRange(draw(SCALES), draw(st.integers(0, 2**bits - 1)), bits)


def fused(a, b, c):
    """float32 of a * b + c with one rounding: float64 holds the product, and the sum nearly."""
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    return np.float32(float(exact))


@given(
    source=ranges(), target=ranges(), residual=st.none() | ranges(), scale=st.floats(1e-6, 1.0),
    bias=st.floats(-1e4, 1e4), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=200)
def test_every_way_of_computing_gives_the_exact_result(source, target, residual, scale, bias, seed):
    to = requantization(torch.tensor([scale]), torch.tensor([bias]), source, target, Bounds.of(target), residual)
    m, b, r = np.float32(to.multiplier[0]), np.float32(to.bias[0]), np.float32(to.ratio)
    assert float(r) == to.ratio
    draw = np.random.default_rng(seed)
    limit = 2**residual.bits - 1 if residual else 0
    middle = int(np.clip(-b / max(float(m), 1e-30), -(2**24), 2**24))  # where the sum is within the range
    for acc in [int(draw.integers(-(2**24), 2**24)), *(middle + int(d) for d in draw.integers(-500, 500, 20))]:
        a, p = np.float32(acc), np.float32(draw.integers(0, limit + 1))
        exact = Fraction(acc) * Fraction(float(m)) + Fraction(float(b)) + Fraction(to.ratio) * int(p)
        wanted = min(max(round(exact), to.bounds.low), to.bounds.high)  # Fractions round half to even
        with np.errstate(over="ignore"):
            sums = [a * m + b + r * p, fused(a, m, b) + r * p, fused(r, p, fused(a, m, b)), fused(r, p, b) + a * m]
        for value in sums:
            assert np.clip(np.round(np.float32(value)), to.bounds.low, to.bounds.high) == wanted


def test_the_grid_follows_the_largest_term():
    steps = grid_step(np.array([0.0, 255.0, 256.0, -1.0, 3000.0]), 0.0, bits=8, residual_bits=0)
    assert np.log2(steps).tolist() == [-16, -16, -15, -15, -12]
    assert np.log2(grid_step(np.array([0.0]), 1.0, bits=8, residual_bits=8)).tolist() == [-15]
    assert np.log2(grid_step(np.array([0.0]), 0.0, bits=2, residual_bits=0)).tolist() == [-22]


def test_constants_by_hand():
    source, target = ActivationRange(0.5, 3, 8), ActivationRange(0.25, 10, 8)
    residual = ActivationRange(0.125, 7, 4)
    to = requantization(torch.tensor([0.01]), torch.tensor([1.0]), source, target, Bounds.of(target, low=0.0), residual)
    assert to.multiplier.item() == pytest.approx(0.02, abs=2**-16)
    assert to.bias.item() == pytest.approx(4.0 + 10 - 0.5 * 7)
    assert to.ratio == 0.5
    assert to.bounds == Bounds(10, 255)


def test_a_wild_bias_does_not_coarsen_the_residual():
    target = ActivationRange(0.01, 0, 8)
    to = requantization(
        torch.full((2,), 0.01),
        torch.tensor([0.1, -1e9]),
        target,
        target,
        Bounds.of(target),
        ActivationRange(0.007, 0, 8),
    )
    assert to.ratio == pytest.approx(0.7, abs=1e-3)
    assert to.bias[1] == -(2**12)


@pytest.mark.parametrize("bias", [-3900.0, -2000.0, -300.0, 100.0, 500.0, 2000.0, 3900.0])
def test_a_bias_of_many_ranges_does_not_shift_the_outputs(bias):
    source = target = ActivationRange(1.0, 0, 8)
    m = torch.linspace(0.005, 0.02, 50)
    to = requantization(m, torch.full((50,), bias), source, target, Bounds.of(target))
    for code in (0.0, 128.0, 255.0):
        acc = ((code - bias) / m.double()).round()
        given = acc * to.multiplier.double() + to.bias.double()
        away = abs(code - min(max(bias, 0.0), 255.0))  # from the code at which the bias makes up for the multiplier
        assert (given - (acc * m.double() + bias)).abs().max() <= 0.1 + away * 0.05


@pytest.mark.parametrize(
    ("at", "low", "high", "bounds"),
    [
        (ActivationRange(0.1, 0, 8), 0.0, 6.0, Bounds(0, 60)),
        (ActivationRange(0.01, 0, 8), 0.0, 6.0, Bounds(0, 255)),
        (ActivationRange(0.1, 100, 8), 0.0, 6.0, Bounds(100, 160)),
        (ActivationRange(0.1, 5, 4), -1.0, float("inf"), Bounds(0, 15)),
    ],
)
def test_bounds(at, low, high, bounds):
    assert Bounds.of(at, low, high) == bounds


@pytest.mark.parametrize("count", [1, 9, 49, 64, 196, 3136])
def test_fixed_point_leaves_room_and_is_fine_enough(count):
    point = FixedPoint.of(ActivationRange(0.5, 0, 8), count)
    assert point.limit * count <= 2**24
    assert point.limit * point.unit >= 0.5 * 255 * min(count, 64) / 2
    assert 0.3 * point.unit / count**0.5 < 0.5 * 0.15  # the average's error is far below half a code
