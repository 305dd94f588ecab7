"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in the official binary and python versions."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rlcompress.data.cifar_pickle import MAX_FILE_BYTES, read_batch
from rlcompress.data.images import ImageSet
from rlcompress.data.splits import DataSplits, split_training
from rlcompress.errors import DataError
from rlcompress.files import LimitError, read_bytes, reason

Bytes = NDArray[np.uint8]
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Version:
    """How one official version lays its files out; ``read`` gives rows of pixels [N, 3072] and labels [N]."""

    folder: str
    train: str
    test: str
    read: Callable[[Path], tuple[Bytes, NDArray[np.int64]]]


def load_cifar10(folder: str) -> DataSplits:
    """CIFAR-10, 10 classes; any of the five training files may be absent.

    Args:
        folder: holds the batches, or the folder ``cifar-10-batches-bin`` or ``cifar-10-batches-py``.

    Raises:
        DataError: files are missing, of a wrong length or form, or hold labels above 9.
    """
    versions = (
        _Version(
            "cifar-10-batches-bin", "data_batch_[1-5].bin", "test_batch.bin", partial(_read_binary, label_bytes=1)
        ),
        _Version("cifar-10-batches-py", "data_batch_[1-5]", "test_batch", partial(read_batch, label_key=b"labels")),
    )
    return _load("cifar10", folder, versions, classes=10)


def load_cifar100(folder: str) -> DataSplits:
    """CIFAR-100 with its 100 fine labels.

    Args:
        folder: holds the files, or the folder ``cifar-100-binary`` or ``cifar-100-python``.

    Raises:
        DataError: files are missing, of a wrong length or form, or hold labels above 99.
    """
    versions = (
        _Version("cifar-100-binary", "train.bin", "test.bin", partial(_read_binary, label_bytes=2)),
        _Version("cifar-100-python", "train", "test", partial(read_batch, label_key=b"fine_labels")),
    )
    return _load("cifar100", folder, versions, classes=100)


def _load(name: str, folder: str, versions: Sequence[_Version], classes: int) -> DataSplits:
    # A shell leaves the ~ of cifar10:~/data alone.
    try:
        version, train_files, test_file = _find(name, Path(os.path.expanduser(folder)), versions)
    except OSError as error:
        raise DataError(f"data {name}:{folder}: cannot be read ({error.strerror}); make it readable") from None
    training = _image_set(version, train_files, classes)
    calibration, search, learning = split_training(training, name)
    test = partial(_image_set, version, [test_file], classes)
    return DataSplits(calibration, search, test, name, classes, learning)


def _find(name: str, folder: Path, versions: Sequence[_Version]) -> tuple[_Version, list[Path], Path]:
    """The first version of which a training file is there, with its files."""
    if not folder.is_dir():
        raise DataError(f"data {name}:{folder}: no such folder; give the one that holds the CIFAR files")
    for version in versions:
        for place in (folder, folder / version.folder):
            train_files = sorted(place.glob(version.train))
            if not train_files:
                continue
            if not (place / version.test).is_file():
                raise DataError(f"data {name}:{folder}: {version.test} is missing in {place}; add the test images")
            return version, train_files, place / version.test
    wanted = " or ".join(version.train for version in versions)
    raise DataError(f"data {name}:{folder}: no {wanted} there; unpack the official binary or python version into it")


def _image_set(version: _Version, files: Sequence[Path], classes: int) -> ImageSet:
    parts = [_read_checked(version, file, classes) for file in files]
    pixels = np.concatenate([pixels for pixels, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    return ImageSet(torch.from_numpy(pixels).view(-1, 3, 32, 32), torch.from_numpy(labels))


def _read_checked(version: _Version, file: Path, classes: int) -> tuple[Bytes, NDArray[np.int64]]:
    try:
        pixels, labels = version.read(file)
    except (OSError, LimitError) as error:
        raise DataError(f"{file}: {reason(error)}; make the file readable, or fetch it again") from error
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise DataError(
            f"{file}: image {wrong[0]} has label {labels[wrong[0]]}, not 0 to {classes - 1}; "
            "is this the data set that you named, and undamaged?"
        )
    return pixels, labels


def _read_binary(file: Path, label_bytes: int) -> tuple[Bytes, NDArray[np.int64]]:
    """Rows of label bytes, the last of which counts, and 3,072 pixel bytes."""
    content = np.frombuffer(read_bytes(file, MAX_FILE_BYTES), np.uint8)
    row = label_bytes + _PIXELS
    if content.size == 0 or content.size % row:
        raise DataError(f"{file}: {content.size} bytes are not whole rows of {row}; fetch the file again")
    rows = content.reshape(-1, row)
    return rows[:, label_bytes:], rows[:, label_bytes - 1].astype(np.int64)
