"""`load_data`: data sets by the names of the command line."""

import pkgutil

from rlcompress.data.splits import DataSplits
from rlcompress.errors import DataError

_WITHOUT_FOLDER = {"digits": "rlcompress.data.digits:load_digits"}
_WITH_FOLDER = {"cifar10": "rlcompress.data.cifar:load_cifar10", "cifar100": "rlcompress.data.cifar:load_cifar100"}


def load_data(data: str) -> DataSplits:
    """Load a data set, cut into calibration, search and test images.

    Args:
        data: ``digits``, ``cifar10:DIR`` or ``cifar100:DIR``.

    Raises:
        DataError: unknown name, or files that are missing or damaged.
    """
    name, colon, folder = data.partition(":")
    splits: DataSplits
    if name in _WITHOUT_FOLDER and not colon:
        splits = pkgutil.resolve_name(_WITHOUT_FOLDER[name])()
    elif name in _WITH_FOLDER and folder:
        splits = pkgutil.resolve_name(_WITH_FOLDER[name])(folder)
    else:
        choices = [*_WITHOUT_FOLDER, *(f"{name}:DIR" for name in _WITH_FOLDER)]
        raise DataError(f"unknown data {data!r}: give one of {', '.join(choices)}")
    return splits
