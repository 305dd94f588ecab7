"""`ImageSet`: images with what a network should say about them, normalised when they are used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rlcompress.errors import DataError
from rlcompress.memory import FLOAT_BYTES, images_at_once


class Images(Protocol):
    """What can be scored: an `ImageSet`, or several of them, each with its own image size."""

    def __len__(self) -> int:
        """Number of images."""

    def batches(
        self, mean: Sequence[float], std: Sequence[float], size: int = FLOAT_BYTES
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Inputs [M, C, H, W] float32 with their targets, in order, the same batches every time.

        A batch for numbers of fewer bytes consists of several whole ones for numbers of more.
        """

    def part(self, indices: Tensor | slice) -> "Images":
        """A set of its own of the images at ``indices``, increasing int64 [M] or a slice."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Images of one size.

    Attributes:
        images: [N, C, H, W] on the scale 0 to 255; uint8, or float32 where bytes would round (luma).
        targets: int64 [N] class numbers, or float32 [N, ...] in the unit of the network's outputs (a number, an image,
            a disparity map) with NaN where nothing is to be compared; None for images without labels.

    Raises:
        DataError: another type or shape, no image, or another number of targets than of images.
    """

    images: Tensor
    targets: Tensor | None

    def __post_init__(self) -> None:
        if self.images.dtype not in (torch.uint8, torch.float32) or self.images.ndim != 4:
            raise DataError(
                f"images must be uint8 or float32 [N, C, H, W], got {self.images.dtype} {list(self.images.shape)}"
            )
        if not len(self):
            raise DataError("an image set needs at least one image")
        if self.targets is None:
            return
        numbers = self.targets.dtype == torch.int64 and self.targets.ndim == 1
        amounts = self.targets.dtype == torch.float32 and self.targets.ndim > 0
        if not (numbers or amounts) or len(self.targets) != len(self):
            raise DataError(
                f"labels must be int64 [{len(self)}] or float32 [{len(self)}, ...], one an image, "
                f"got {self.targets.dtype} {list(self.targets.shape)}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_bytes(self) -> int:
        """What one image takes."""
        return int(self.images[0].nbytes)

    @property
    def labels(self) -> Tensor:
        """The class numbers, int64 [N].

        Raises:
            DataError: the targets are something else, or there are none.
        """
        if self.targets is None or self.targets.dtype != torch.int64:
            raise DataError("these images have no class numbers; use a data set of labelled images")
        return self.targets

    def normalized(self, indices: Tensor | slice, mean: Sequence[float], std: Sequence[float]) -> Tensor:
        """Some of the images as a network's input, ``(value / 255 - mean) / std``.

        Computed as ``value * scale + offset``, exact for networks that take raw bytes or ``(byte - 128) / 128``.

        Args:
            indices: int64 [M], or a slice; of the images wanted.
            mean: one value a channel, on the scale 0 to 1.
            std: one value a channel, on the same scale.

        Returns:
            float32 [M, C, H, W].

        Raises:
            DataError: not as many values as channels.
        """
        channels = self.images.shape[1]
        if not len(mean) == len(std) == channels:
            raise DataError(
                f"images have {channels} channels, but the network takes {len(mean)} means and {len(std)} standard "
                "deviations; give data of the network's input shape"
            )
        scale = torch.tensor([1 / (255 * s) for s in std]).view(-1, 1, 1)
        offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).view(-1, 1, 1)
        return self.images[indices].to(torch.float32, copy=True).mul_(scale).add_(offset)

    def batches(
        self, mean: Sequence[float], std: Sequence[float], size: int = FLOAT_BYTES
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Inputs [M, C, H, W] float32, channels_last, with their targets.

        M depends on the size of an image and on the bytes of the numbers that are computed with, see
        `rlcompress.memory.images_at_once`.
        """
        count = images_at_once(self.images[0].numel(), size)
        for start in range(0, len(self), count):
            part = slice(start, start + count)
            inputs = self.normalized(part, mean, std).contiguous(memory_format=torch.channels_last)
            yield inputs, None if self.targets is None else self.targets[part]

    def part(self, indices: Tensor | slice) -> "ImageSet":
        """A set of its own of the images at ``indices``, int64 [M] or a slice."""
        return ImageSet(self.images[indices], None if self.targets is None else self.targets[indices])


@dataclass(frozen=True, slots=True, eq=False)
class MixedSizes:
    """Images of several sizes: sets that are scored one after the other."""

    parts: tuple[ImageSet, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def batches(
        self, mean: Sequence[float], std: Sequence[float], size: int = FLOAT_BYTES
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """See `ImageSet.batches`; no batch mixes sizes."""
        for part in self.parts:
            yield from part.batches(mean, std, size)

    def part(self, indices: Tensor | slice) -> "MixedSizes":
        """See `Images.part`."""
        numbers, parts, first = torch.arange(len(self))[indices], [], 0
        for part in self.parts:
            own = numbers[(numbers >= first) & (numbers < first + len(part))] - first
            parts += [part.part(own)] if len(own) else []
            first += len(part)
        return MixedSizes(tuple(parts))
