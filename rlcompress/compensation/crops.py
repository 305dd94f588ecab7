"""How much of an image is enough to look at."""

from collections.abc import Callable

import torch
from torch import Tensor

_CROP = 64  # pixels a side


@torch.no_grad()
def seen_size(outputs: Callable[[Tensor], Tensor], image: Tensor) -> tuple[int, int]:
    """Height and width of what is looked at at a time: an image [1, C, H, W], or a crop where outputs are pixels.

    Args:
        outputs: of the network, for images of any size that it takes.
        image: one.
    """
    height, width = image.shape[2:]
    crop = min(height, _CROP), min(width, _CROP)
    if crop == (height, width):
        return crop
    try:
        whole, part = (outputs(x).shape for x in (image, image[:, :, : crop[0], : crop[1]]))
    except RuntimeError:  # sizes are written into the network
        return height, width
    pixels = len(whole) == 4 and whole[2] * crop[0] == part[2] * height and whole[3] * crop[1] == part[3] * width
    return crop if pixels else (height, width)
