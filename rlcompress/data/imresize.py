"""Bicubic scaling as MATLAB's ``imresize`` does it, which super-resolution's benchmarks are made with."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


def imresize(image: NDArray[np.uint8], scale: Fraction) -> NDArray[np.uint8]:
    """Scale an image by bicubic interpolation (Keys, 1981, a = -1/2), with antialiasing when it gets smaller.

    Borders are mirrored. As in MATLAB, rows are scaled before columns and bytes are rounded after each: Set5's
    published upscaled images come out exactly.

    Args:
        image: [H, W, C] bytes.
        scale: of both sides; the new sides are rounded up.

    Returns:
        [ceil(scale * H), ceil(scale * W), C] bytes.
    """
    rows, columns = (_weights(side, scale) for side in image.shape[:2])
    taller = _bytes(np.tensordot(rows, image.astype(np.float64), axes=(1, 0)))
    return _bytes(np.einsum("qw,hwc->hqc", columns, taller, optimize=True)).astype(np.uint8)


def _bytes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.floor(values + 0.5).clip(0, 255))


def _weights(side: int, scale: Fraction) -> NDArray[np.float64]:
    """[new side, side] matrix that scales one dimension."""
    new = -(-side * scale.numerator // scale.denominator)
    s = float(scale)
    shrink = min(1.0, s)  # the kernel is stretched by its inverse
    reach = 2.0 / shrink
    centre = (np.arange(new) + 0.5) / s - 0.5
    first = np.floor(centre - reach).astype(np.int64)
    taps = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 2)
    weight = _cubic((centre[:, None] - taps) * shrink)
    weight /= weight.sum(axis=1, keepdims=True)
    mirrored = np.mod(taps, 2 * side)
    mirrored = np.where(mirrored < side, mirrored, 2 * side - 1 - mirrored)
    matrix = np.zeros((new, side))
    np.add.at(matrix, (np.arange(new)[:, None], mirrored), weight)
    return matrix


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1.0
    far = -0.5 * x**3 + 2.5 * x**2 - 4.0 * x + 2.0
    return np.where(x <= 1.0, near, np.where(x <= 2.0, far, 0.0))
