import pytest

from rlcompress.compensation import tuned_ranges
from rlcompress.quantization import ActivationRange

WIDTHS = range(2, 9)
FITTED = {bits: ActivationRange(0.1 * bits, bits, bits) for bits in WIDTHS}


def tuned(best, seen=None):
    """For an error that is least where the scale is the fitted one times what a width's bits are given by `best`."""

    def error(tried):
        if seen is not None:
            seen.append(tried)
        return abs(tried.scale / FITTED[tried.bits].scale - best(tried.bits))

    return tuned_ranges(FITTED, error)


@pytest.mark.parametrize("factor", [1.0, 1.15, 1.15**3, 1.15**-1, 1.15**-3])
def test_the_scale_of_least_error_is_found_and_the_rest_of_the_range_kept(factor):
    for bits, found in tuned(lambda bits: factor).items():
        assert found.scale == pytest.approx(FITTED[bits].scale * (factor if bits < 7 else 1.0))
        assert (found.zero_point, found.bits) == (bits, bits)


def test_every_width_has_its_own_but_two_bits_are_like_three():
    found = tuned(lambda bits: 1.15 if bits % 2 else 1 / 1.15)
    assert [found[b].scale > FITTED[b].scale for b in (2, 3, 4, 5, 6)] == [True, True, False, True, False]


def test_scales_stay_near_the_fitted_ones():
    assert tuned(lambda bits: 3.0)[4].scale == pytest.approx(FITTED[4].scale * 1.15**3)
    assert tuned(lambda bits: 0.0)[4].scale == pytest.approx(FITTED[4].scale / 1.15**3)


def test_no_range_is_tried_twice_and_each_width_begins_where_the_wider_one_ended():
    seen = []
    tuned(lambda bits: 1.15**2, seen)
    assert len(set(seen)) == len(seen)
    assert [sum(one.bits == bits for one in seen) for bits in WIDTHS] == [0, 3, 3, 3, 4, 0, 0]
