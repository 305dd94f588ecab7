from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlcompress.quantization import fit_codebook, fit_scale, largest_code, nearest_entry
from rlcompress.quantization.codebooks import _clusters

ROWS, COLUMNS = 8, 200


def layer(seed):
    """Weights with heavy tails, of rows that differ in size, and their importance."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(ROWS, COLUMNS, generator=generator).pow(3) * torch.logspace(-2, 1, ROWS)[:, None]
    return weight, torch.rand(ROWS, COLUMNS, generator=generator) + 0.1


@given(seed=st.integers(0, 100), bits=st.integers(2, 7), zero=st.booleans())
@example(seed=35, bits=7, zero=True)
@settings(max_examples=30)
def test_entries_are_ascending_codes_of_8_bits(seed, bits, zero):
    entries, scale = fit_codebook(*layer(seed), bits, zero=zero)
    assert entries.shape == (2**bits,)
    assert torch.equal(entries, entries.round())
    assert entries.abs().max() <= 127
    assert (entries.diff() > 0).all()
    assert (scale > 0).all()
    assert 0.0 in entries or not zero


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_less_weighted_error_than_a_uniform_grid(bits):
    for seed in range(5):
        weight, importance = layer(seed)
        step, limit = fit_scale(weight, bits)[:, None], largest_code(bits)
        plain = ((weight / step).round().clamp(-limit, limit) * step - weight).square() * importance
        entries, scale = fit_codebook(weight, importance, bits, zero=False)
        codes = nearest_entry([entries])((weight / scale[:, None])[None])[0]
        ours = (codes * scale[:, None] - weight).square() * importance
        assert ours.sum() < 0.8 * plain.sum()


@pytest.mark.parametrize("count", [2, 3, 4])
def test_clusters_are_the_best_of_all(count):
    generator = torch.Generator().manual_seed(count)
    values = torch.tensor([-127.0, -80.0, -31.0, -30.0, -3.0, 4.0, 55.0, 100.0, 127.0])
    mass = torch.rand(len(values), generator=generator, dtype=torch.float64) + 0.05
    masses = torch.zeros(255, dtype=torch.float64)
    masses[values.long() + 127] = mass

    def cost(groups):
        centres = [((v * m).sum() / m.sum()).round() for v, m in groups]
        return sum(float(((v - c).square() * m).sum()) for (v, m), c in zip(groups, centres, strict=True))

    def cut(places):
        edges = [0, *places, len(values)]
        return [(values[a:b], mass[a:b]) for a, b in pairwise(edges)]

    least = min(cost(cut(places)) for places in combinations(range(1, len(values)), count - 1))
    entries = _clusters(masses, count)
    nearest = (values[:, None] - entries).abs().amin(1)
    assert float((nearest.square() * mass).sum()) == pytest.approx(least)


def test_positions_are_rounded_to_the_nearest_entry_of_their_own_codebook():
    books = [torch.tensor([-127.0, -5.0, 0.0, 90.0]), torch.arange(-60.0, 68.0)]
    positions = torch.linspace(-140, 140, 4001).repeat(2, 1).view(2, 1, 4001)
    for book, position, code in zip(books, positions, nearest_entry(books)(positions.clone()), strict=True):
        assert torch.equal((code - position).abs(), (position[..., None] - book).abs().amin(-1))


def test_weights_that_nothing_depends_on_and_rows_of_zeros_get_finite_codebooks():
    weight, _ = layer(0)
    weight[0] = 0.0
    for importance in (torch.zeros_like(weight), torch.full_like(weight, 1e-42), torch.full_like(weight, 1e24)):
        for values in (weight, torch.zeros_like(weight)):
            entries, scale = fit_codebook(values, importance, 3, zero=True)
            assert entries.isfinite().all()
            assert scale.isfinite().all()
            assert (scale > 0).all()
