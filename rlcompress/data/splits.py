"""`DataSplits`: what may be used for which purpose."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from rlcompress.data.images import Images, ImageSet
from rlcompress.errors import DataError

CALIBRATION_IMAGES = 1000
SEARCH_IMAGES = 5000


@dataclass(frozen=True)
class DataSplits:
    """Images kept apart by purpose.

    Attributes:
        calibration: training images for ranges, statistics and repair.
        search: other training images, for the reward.
        load_test: reads the test images.
        name: of the data set.
        classes: number of classes; labels are 0 to classes - 1. None where the targets are no class numbers.
    """

    calibration: ImageSet
    search: ImageSet
    load_test: Callable[[], Images]
    name: str
    classes: int | None

    @cached_property
    def test(self) -> Images:
        """The official test images, read when first asked for: nothing can look at them by accident.

        Raises:
            DataError: the files are damaged.
        """
        return self.load_test()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the search images with their targets, in hexadecimal digits.

        The calibration images are left out: tier t0 must not read them.
        """
        digest = hashlib.sha256()
        for tensor in (self.search.images, self.search.targets):
            if tensor is not None:
                digest.update(str((tensor.dtype, tuple(tensor.shape))).encode())
                digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def split_training(training: ImageSet, name: str) -> tuple[ImageSet, ImageSet]:
    """Cut training images into calibration and search images; see `split_positions`."""
    calibration, search = split_positions(len(training), name)
    return training.part(calibration), training.part(search)


def split_positions(count: int, name: str) -> tuple[Tensor, Tensor]:
    """Which of the training images serve calibration and which the search: a fixed permutation, whatever the seed.

    Calibration gets 1,000 images, or a quarter of a small set; search the next 5,000, or as many as there are.

    Args:
        count: of training images.
        name: of the data set, for messages.

    Returns:
        Positions for calibration and for search, int64; none is in both.

    Raises:
        DataError: fewer than two training images.
    """
    if count < 2:
        raise DataError(f"{name}: {'one training image' if count else 'no training image'}; give at least two to split")
    # RandomState's streams are frozen (NEP 19), so the splits stay the same under every numpy.
    order = torch.from_numpy(np.random.RandomState(0).permutation(count))
    first = max(1, min(CALIBRATION_IMAGES, count // 4))
    return order[:first], order[first : first + SEARCH_IMAGES]
