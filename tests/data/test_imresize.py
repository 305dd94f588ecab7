from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.data.imresize import imresize


@given(value=st.integers(0, 255), side=st.integers(1, 20), scale=st.sampled_from(["1/3", "1/2", "2", "4"]))
@settings(max_examples=30)
def test_constant_images_stay_constant(value, side, scale):
    image = np.full((side, side + 1, 3), value, np.uint8)
    resized = imresize(image, Fraction(scale))
    assert resized.shape == (int(np.ceil(side * Fraction(scale))), int(np.ceil((side + 1) * Fraction(scale))), 3)
    assert np.all(resized == value)


def test_a_ramp_by_hand():
    """Twice as large, a ramp has samples at quarters of its steps; Keys' kernel reproduces straight lines."""
    ramp = np.arange(0, 80, 8, dtype=np.uint8)[:, None, None].repeat(4, 1)
    assert imresize(ramp, Fraction(2))[6:14, 0, 0].tolist() == [22, 26, 30, 34, 38, 42, 46, 50]


def test_an_impulse_by_hand():
    """The kernel at 1/4 and 3/4 is 0.8671875 and 0.2265625; bytes are clipped below zero."""
    image = np.zeros((1, 9, 1), np.uint8)
    image[0, 4] = 128
    assert imresize(image, Fraction(2))[0, 6:12, 0].tolist() == [0, 29, 111, 111, 29, 0]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["bird", "butterfly", "woman"])
def test_matlabs_images_of_set5_come_out_exactly(real, name, scale):
    with np.load(real.data / "set5.npz", allow_pickle=False) as images:
        truth, published = images[f"{name}_GT"], images[f"{name}_GT_scale_{scale}"]
    height, width = (side // scale * scale for side in truth.shape[:2])
    smaller = imresize(truth[:height, :width], Fraction(1, scale))
    assert np.array_equal(imresize(smaller, Fraction(scale)), published)
