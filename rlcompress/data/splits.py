"""`DataSplits`: what may be used for which purpose."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from rlcompress.data.images import Images, ImageSet
from rlcompress.data.moved import half_moved
from rlcompress.errors import DataError

CALIBRATION_IMAGES = 1000
SEARCH_IMAGES = 5000
MOST_SEARCH_IMAGES = 10_000
SEARCH_BYTES = 32_000_000
LEARNING_IMAGES = 4000
LEARNING_BYTES = 64_000_000


@dataclass(frozen=True)
class DataSplits:
    """Images kept apart by purpose.

    Attributes:
        calibration: training images for ranges, statistics and repair.
        search: other training images, for the reward.
        load_test: reads the test images.
        name: of the data set.
        classes: number of classes; labels are 0 to classes - 1. None where the targets are no class numbers.
        load_learning: reads up to so many further training images for learned rounding; None where none are left.
        counted: whether ``classes`` was counted from the labels, which may lack the last ones.
    """

    calibration: ImageSet
    search: ImageSet
    load_test: Callable[[], Images]
    name: str
    classes: int | None
    load_learning: Callable[[int], ImageSet | None] = field(default=lambda _: None)
    counted: bool = False

    @cached_property
    def test(self) -> Images:
        """The official test images, read when first asked for: nothing can look at them by accident.

        Raises:
            DataError: the files are damaged.
        """
        return self.load_test()

    def learning(self, mean: Sequence[float], std: Sequence[float]) -> Tensor | None:
        """Further training images for learned rounding, at most 4,000 and 64 MB of them, as a network's input.

        Args:
            mean: see `ImageSet.normalized`.
            std: see there.

        Returns:
            [N, C, H, W], or None where no images are left.
        """
        images = self.load_learning(self.most_learning)
        return None if images is None else images.normalized(slice(None), mean, std)

    def with_moved_search(self) -> "DataSplits":
        """The same, with every second search image moved as `half_moved` says.

        Raises:
            DataError: targets are no class numbers.
        """
        return replace(self, search=half_moved(self.search))

    @property
    def most_learning(self) -> int:
        """How many images `learning` gives at most."""
        return min(LEARNING_IMAGES, LEARNING_BYTES // self.calibration.image_bytes)

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


def split_training(training: ImageSet, name: str) -> tuple[ImageSet, ImageSet, Callable[[int], ImageSet | None]]:
    """Cut training images into those for calibration, for the search and for `DataSplits.load_learning`."""
    calibration, search, learning = split_positions(len(training), name, training.image_bytes)
    further = training.part(learning) if len(learning) else None
    return training.part(calibration), training.part(search), partial(first_images, further)


def first_images(images: ImageSet | None, count: int) -> ImageSet | None:
    """The first ``count`` of what `DataSplits.load_learning` gives."""
    return None if images is None or not count else images.part(slice(0, count))


def split_positions(count: int, name: str, image_bytes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which of the training images serve which purpose: a fixed permutation, whatever the seed.

    Calibration gets 1,000 images, or a quarter of a small set; search the next 5,000, or as many as there are; learned
    rounding 4,000 of what is then left. What is left of small images after that adds to the search, up to 10,000 images
    and 32 MB in all.

    Args:
        count: of training images.
        name: of the data set, for messages.
        image_bytes: that an image takes.

    Returns:
        Positions for calibration, for search and for learned rounding, int64; no two share any, the last may be empty.

    Raises:
        DataError: fewer than two training images.
    """
    if count < 2:
        raise DataError(f"{name}: {'one training image' if count else 'no training image'}; give at least two to split")
    # RandomState's streams are frozen (NEP 19), so the splits stay the same under every numpy.
    order = torch.from_numpy(np.random.RandomState(0).permutation(count))
    first = max(1, min(CALIBRATION_IMAGES, count // 4))
    second = first + SEARCH_IMAGES
    third = second + LEARNING_IMAGES
    fourth = third + max(0, min(MOST_SEARCH_IMAGES, SEARCH_BYTES // image_bytes) - SEARCH_IMAGES)
    return order[:first], torch.cat([order[first:second], order[third:fourth]]), order[second:third]
