"""Batches of CIFAR's official python version, read without running anything that the file names.

The files are pickles, read by `rlcompress.pickles`: the three names that the official files use become records, every
other one is refused, and the array is made out of the bytes that ended up in its record.
"""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcompress.errors import DataError
from rlcompress.files import LimitError, read_bytes
from rlcompress.pickles import UnsafeError, read_pickle

MAX_FILE_BYTES = 200_000_000
"""CIFAR-100's training images are 154 MB."""

_NAMES = ("numpy.core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype")


def read_batch(file: Path, label_key: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the pixels [N, 3072] and the labels [N] of one batch.

    Args:
        file: pickle of a dictionary with ``data``, an array, and labels, a list.
        label_key: ``labels`` or ``fine_labels``, the dictionary's key of the labels.

    Raises:
        DataError: the file names code, is damaged, or holds something else.
        OSError: the file cannot be opened.
    """
    try:
        content = read_pickle(io.BytesIO(read_bytes(file, MAX_FILE_BYTES)), _NAMES.__contains__)
    except UnsafeError as error:
        raise DataError(f"{file}: {error}, fetch the official file") from None
    except LimitError as error:
        raise DataError(f"{file}: damaged, or not of CIFAR's python version ({error}); fetch the file again") from None
    try:
        pixels = _pixels(content[b"data"])
        return pixels, _labels(content[label_key], len(pixels))
    except (AttributeError, TypeError, LookupError, ValueError, OverflowError) as error:
        raise DataError(
            f"{file}: no uint8 data [N, 3072] and {label_key.decode()} [N] inside; is this the data set that you named?"
        ) from error


def _pixels(record: Any) -> NDArray[np.uint8]:
    """The array of a record; numpy's state is (version, shape, dtype, is_fortran, bytes)."""
    _, shape, dtype, is_fortran, content = record.state
    if dtype.arguments[0] != b"u1" or not isinstance(content, bytes):
        raise TypeError("not an array of bytes")
    if len(shape) != 2 or shape[1] != 3 * 32 * 32 or not content or math.prod(shape) != len(content):
        raise ValueError("not rows of 3,072 bytes")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if is_fortran else "C")


def _labels(labels: Any, images: int) -> NDArray[np.int64]:
    if not isinstance(labels, list) or len(labels) != images or not all(type(label) is int for label in labels):
        raise TypeError("not one integer an image")
    return np.array(labels, np.int64)
