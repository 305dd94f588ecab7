"""Batches of CIFAR's official python version, read without running anything that the file names.

The files are pickles. A pickle is a program: it may name any importable function and have it called. The reader here
answers the three names that the official files use with empty records of its own, refuses every other one, and makes
the array itself out of the bytes that ended up in the record.
"""

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcompress.errors import DataError


def read_batch(file: Path, label_key: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the pixels [N, 3072] and the labels [N] of one batch.

    Args:
        file: pickle of a dictionary with ``data``, an array, and labels, a list.
        label_key: ``labels`` or ``fine_labels``, the dictionary's key of the labels.

    Raises:
        DataError: the file names code, is damaged, or holds something else.
        OSError: the file cannot be opened.
    """
    with open(file, "rb") as stream:
        try:
            content = _BatchUnpickler(stream, encoding="bytes").load()
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
        except Exception as error:  # a damaged pickle can raise anything
            raise DataError(f"{file}: damaged, or not of CIFAR's python version; fetch the file again") from error
    try:
        pixels = _pixels(content[b"data"])
        return pixels, _labels(content[label_key], len(pixels))
    except (AttributeError, TypeError, LookupError, ValueError, OverflowError) as error:
        raise DataError(
            f"{file}: no uint8 data [N, 3072] and {label_key.decode()} [N] inside; is this the data set that you named?"
        ) from error


class _BatchUnpickler(pickle.Unpickler):
    """Knows the three names of an array in a pickle that Python 2 wrote, and none else."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """A record in place of whatever is named."""
        names = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
        if (module_name, global_name) not in names:
            raise DataError(
                f"the pickle names {f'{module_name}.{global_name}'!r}, which no CIFAR file needs; it was not run, "
                "fetch the official file"
            )
        return _Record


class _Record:
    """Keeps what a pickle would have made an object of: its arguments and its state."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


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
