"""A user's own data sets as `DataSplits`."""

import math
from collections.abc import Iterable, Sized
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
)

from rlcompress.data.images import ImageSet
from rlcompress.data.splits import DataSplits, split_positions
from rlcompress.errors import DataError


def as_splits(data: object, name: str = "data") -> DataSplits:
    """Training and test images of any usual form, cut into calibration, search and test images.

    Args:
        data: `DataSplits`, or a pair (training, test). Each is an `ImageSet`; a map-style data set of
            (image, target) items, or a loader over one; a pair of arrays (images [N, C, H, W], targets [N, ...]); or
            images alone, for label-free scores. An image is bytes, or floats from 0 to 1, [C, H, W], or whatever
            `numpy.asarray` turns into [H, W] or [H, W, 3] bytes (Pillow). A target is a class number (of an integer
            type) or, in the unit of the network's output, a float or an array. Normalisation stays out: the network's
            mean and std do it.
        name: of the data set.

    Raises:
        DataError: something has another form; test images are looked at only when they are used.
    """
    if isinstance(data, DataSplits):
        return data
    if not (isinstance(data, tuple | list) and len(data) == 2):
        what = f"{len(data)} parts" if isinstance(data, tuple | list) else type(data).__name__
        raise DataError(f"{name}: give training and test data as a pair, not {what}")
    training, testing = (_items(part, name) for part in data)
    count = _count(training, name)
    if isinstance(training, _Arrays):
        _check_scale(training[0], name)
    first, second, third = split_positions(count, name, _image_set(training, torch.tensor([0]), name).image_bytes)
    calibration, search = (_image_set(training, part, name) for part in (first, second))
    everything = torch.arange(_count(testing, name))
    test = partial(_image_set, testing, everything, name)
    learning = partial(_first_images, training, third, name)
    classes, counted = _classes(training, calibration, search)
    return DataSplits(calibration, search, test, name, classes, learning, counted)


def _first_images(items: Any, positions: Tensor, name: str, count: int) -> ImageSet | None:
    first = positions[:count]
    return _image_set(items, first, name) if len(first) else None


class _Arrays(tuple[Tensor, ...]):
    """Images, and targets where there are any."""


def _items(part: Any, name: str) -> Any:
    """What can be indexed: an `ImageSet`, a data set of items, or arrays of N entries."""
    if isinstance(part, ImageSet):
        return part
    if isinstance(part, DataLoader):
        part = _drawn_by(part, name)
    if isinstance(part, np.ndarray | Tensor):
        part = (part,)
    if isinstance(part, tuple) and len(part) in (1, 2):
        arrays = _Arrays(_tensor(array, name) for array in part)
        if len({len(array) for array in arrays if array.dim()}) != 1:
            raise DataError(f"{name}: images and targets differ in number; give one target an image")
        return arrays
    if hasattr(part, "__getitem__") and isinstance(part, Sized):
        return part
    raise DataError(f"{name}: {type(part).__name__} is no data set; give one with a length, or arrays")


def _drawn_by(loader: DataLoader[Any], name: str) -> Any:
    """The items that a loader gives, each once, whatever its order and the size of its batches.

    Raises:
        DataError: what its sampler leaves out is not known.
    """
    items, sampler, batches = loader.dataset, loader.sampler, loader.batch_sampler
    own = isinstance(batches, BatchSampler | None) and (batches is None or batches.sampler is sampler)
    if isinstance(items, IterableDataset) or (own and isinstance(sampler, SequentialSampler)):
        return items
    if (
        own
        and isinstance(sampler, RandomSampler)
        and not sampler.replacement
        and sampler.num_samples == len(sampler.data_source)
    ):
        return items
    if own and isinstance(sampler, SubsetRandomSampler):
        return Subset(items, [int(i) for i in sampler.indices])
    drawing = type(sampler if own else batches).__name__
    raise DataError(
        f"{name}: a loader that draws by {drawing} may leave items out; give the data set or a Subset of it"
    )


def _count(items: Any, name: str) -> int:
    count = len(items[0]) if isinstance(items, _Arrays) else len(items)
    if not count:
        raise DataError(f"{name}: holds no image; give at least one")
    return count


def _image_set(items: Any, positions: Tensor, name: str) -> ImageSet:
    if isinstance(items, ImageSet):
        return items.part(positions)
    if isinstance(items, _Arrays):
        return _of_arrays(_Arrays(array[positions] for array in items), name)
    rows = [items[i] for i in positions.tolist()]
    if not all(isinstance(row, tuple | list) and len(row) == 2 for row in rows):
        raise DataError(f"{name}: an item of the data set is not a pair (image, target); let it give pairs")
    images, targets = ([row[i] for row in rows] for i in (0, 1))
    stacked = (_stack(map(_channels_first, images), name), _stack((_tensor(target, name) for target in targets), name))
    return _of_arrays(_Arrays(stacked), name)


def _tensor(array: Any, name: str) -> Tensor:
    try:
        return torch.as_tensor(array)
    except (RuntimeError, TypeError, ValueError):
        kind = getattr(array, "dtype", type(array).__name__)
        raise DataError(f"{name}: images and targets must be numbers, got {kind}; number the classes from 0") from None


def _stack(tensors: Iterable[Tensor], name: str) -> Tensor:
    try:
        return torch.stack(list(tensors))
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{name}: images or targets differ in shape ({reason}); crop them to one size") from None


def _channels_first(image: Any) -> Tensor:
    if isinstance(image, Tensor):
        return image
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1) if pixels.shape[-1] <= 4 else pixels


def _of_arrays(arrays: _Arrays, name: str) -> ImageSet:
    targets = arrays[1] if len(arrays) == 2 else None
    if targets is not None:
        amounts = targets.dim() > 1 or targets.is_floating_point()
        targets = targets.float() if amounts else _class_numbers(targets, name)
    return ImageSet(_on_byte_scale(arrays[0], name), targets)


def _class_numbers(targets: Tensor, name: str) -> Tensor:
    if targets.is_complex():
        raise DataError(
            f"{name}: targets must be real, got {targets.dtype}; give class numbers as int64 [N], or floats"
        )
    if len(targets) and int(targets.min()) < 0:
        raise DataError(f"{name}: class numbers begin at 0, got {int(targets.min())}; number the classes from 0")
    return targets.long()


def _on_byte_scale(images: Tensor, name: str) -> Tensor:
    """Bytes where the values are bytes (over 255), else floats on the scale 0 to 255."""
    if images.dtype == torch.uint8 or images.dim() != 4:
        return images
    _check_scale(images, name)
    scaled = images.double() * 255
    rounded = scaled.round()
    return rounded.byte() if bool(((scaled - rounded).abs() < 1e-3).all()) else scaled.float()


def _check_scale(images: Tensor, name: str) -> None:
    """Check that images are bytes, or floats from 0 to 1; the mend keeps what the network gets the same.

    Raises:
        DataError: they are not.
    """
    if images.dtype == torch.uint8:
        return
    if not images.is_floating_point():
        raise DataError(
            f"{name}: images must be bytes, or floats from 0 to 1, got {images.dtype}; give 0 to 255 as uint8, others "
            "scaled to 0 to 1"
        )
    low, high = (float(value) for value in torch.aminmax(images))
    if not math.isfinite(high - low):
        raise DataError(f"{name}: images hold NaN or infinity; give finite values from 0 to 1")
    if low < 0.0 or high > 1.0:
        least, span = math.floor(low), math.ceil(high) - math.floor(low)
        image, mean = (_less(what, least) for what in ("images", "mean"))
        raise DataError(
            f"{name}: images must be bytes, or floats from 0 to 1, but go from {low:.4g} to {high:.4g}; give "
            f"{image} / {span}, with {mean} / {span} as mean and std / {span} as std"
        )


def _less(what: str, amount: int) -> str:
    """A difference in writing.

    >>> _less("mean", -4)
    '(mean + 4)'
    """
    return f"({what} {'-' if amount > 0 else '+'} {abs(amount)})" if amount else what


def _classes(items: Any, *sets: ImageSet) -> tuple[int | None, bool]:
    """The number of classes that the data set states (torchvision's ``classes``), or else that its labels use.

    Beside it, whether it is the labels', which may lack the last classes.
    """
    if any(part.targets is None or part.targets.dtype != torch.int64 for part in sets):
        return None, False
    whole_set = items
    while isinstance(whole_set, Subset):
        whole_set = whole_set.dataset
    stated = getattr(whole_set, "classes", None)
    if isinstance(stated, Sized):
        return len(stated), False
    whole = [items.labels] if isinstance(items, ImageSet) else [items[1]] if isinstance(items, _Arrays) else []
    return 1 + max(int(labels.max()) for labels in (*whole, *(part.labels for part in sets))), True
