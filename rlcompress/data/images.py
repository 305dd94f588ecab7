"""`ImageSet`: labelled images as bytes, normalised when they are used."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlcompress.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Labelled images.

    Attributes:
        images: uint8 [N, C, H, W].
        labels: int64 [N].

    Raises:
        DataError: another type or shape, no image, or another number of labels than of images.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise DataError(f"images must be uint8 [N, C, H, W], got {self.images.dtype} {list(self.images.shape)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"labels must be int64 [{len(self)}], one an image, got {self.labels.dtype} {list(self.labels.shape)}"
            )
        if not len(self):
            raise DataError("an image set needs at least one image")

    def __len__(self) -> int:
        return len(self.images)

    def normalized(self, indices: Tensor | slice, mean: Sequence[float], std: Sequence[float]) -> Tensor:
        """Some of the images as a network's input, ``(byte / 255 - mean) / std``.

        Computed as ``byte * scale + offset``, exact for networks that take raw bytes or ``(byte - 128) / 128``.

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
        return self.images[indices].float().mul_(scale).add_(offset)

    def part(self, indices: Tensor) -> "ImageSet":
        """A set of its own of the images at ``indices``, int64 [M]."""
        return ImageSet(self.images[indices], self.labels[indices])
