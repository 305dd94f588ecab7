"""Training images as a network has not seen them: rotated and scaled a little."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from rlcompress.data.images import ImageSet
from rlcompress.errors import DataError

_DEGREES = 10.0
_SCALE = 0.1
_CHUNK = 64  # images at once, which bounds the memory


def half_moved(images: ImageSet) -> ImageSet:
    """Every second image rotated by up to 10 degrees and made up to 10 % larger or smaller, evenly drawn.

    A network remembers the images that it was trained on, and how far differs from network to network: what compression
    loses on them may be half or twice of what it loses on others. Moved ones are new to it, unless it was trained on
    such rotations, and harder than others of their kind; with a half of each, what is lost differs less from what is
    lost on test images (docs/experiments.md). The same draw at every call; borders are filled by reflection.

    Args:
        images: with class numbers, or without labels.

    Raises:
        DataError: targets are images or maps, which would have to move along.
    """
    if images.targets is not None and images.targets.dtype != torch.int64:
        raise DataError("search=moved is for images with class numbers, whose targets stay; leave it out for this data")
    values = images.images.clone()
    for number, first in enumerate(range(1, len(values), 2 * _CHUNK)):
        part = slice(first, first + 2 * _CHUNK, 2)
        values[part] = _moved(values[part], number)
    return ImageSet(values, images.targets)


def _moved(images: Tensor, seed: int) -> Tensor:
    """[N, C, H, W] of either type, each moved by a draw of its own."""
    generator = torch.Generator().manual_seed(seed)
    angle, size = (2.0 * torch.rand(2, len(images), generator=generator) - 1.0).unbind()
    angle, size = math.radians(_DEGREES) * angle, 1.0 + _SCALE * size
    height, width = images.shape[2:]
    rows = (
        torch.stack([size * angle.cos(), -size * angle.sin() * (height / width), torch.zeros_like(size)], 1),
        torch.stack([size * angle.sin() * (width / height), size * angle.cos(), torch.zeros_like(size)], 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)
    return moved.round_().clamp_(0, 255).to(images.dtype) if images.dtype == torch.uint8 else moved
