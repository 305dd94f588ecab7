"""`DataSplits`: what may be used for which purpose."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from rlcompress.data.images import ImageSet
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
        classes: number of classes; labels are 0 to classes - 1.
    """

    calibration: ImageSet
    search: ImageSet
    load_test: Callable[[], ImageSet]
    name: str
    classes: int

    @cached_property
    def test(self) -> ImageSet:
        """The official test images, read when first asked for: nothing can look at them by accident.

        Raises:
            DataError: the files are damaged.
        """
        return self.load_test()


def split_training(training: ImageSet, name: str) -> tuple[ImageSet, ImageSet]:
    """Cut training images into calibration and search images by a fixed permutation, the same for every seed.

    Calibration gets 1,000 images, or a quarter of a small set; search the next 5,000, or as many as there are.

    Args:
        training: at least two images.
        name: of the data set, for messages.

    Returns:
        The calibration set and the search set; no image is in both.

    Raises:
        DataError: fewer than two training images.
    """
    if len(training) < 2:
        raise DataError(f"{name}: one training image cannot be split; give at least two")
    # RandomState's streams are frozen (NEP 19), so the splits stay the same under every numpy.
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(training)))
    count = max(1, min(CALIBRATION_IMAGES, len(training) // 4))
    return training.part(order[:count]), training.part(order[count : count + SEARCH_IMAGES])
