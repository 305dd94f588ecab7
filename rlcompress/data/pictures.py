"""Picture files as arrays of bytes."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rlcompress.errors import DataError

SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF")  # none that starts another program


def read_picture(path: Path, size: int | None = None, crop: float = 0.0) -> NDArray[np.uint8]:
    """Read a picture as RGB bytes [H, W, 3].

    Args:
        path: of the file.
        size: side of the square wanted; None leaves the picture as it is.
        crop: share of the shorter side that the square spans: the picture is scaled (bilinear, with antialiasing)
            until its shorter side is ``size / crop``. 0 cuts the square out without scaling, unless the picture
            is smaller than it.

    Raises:
        DataError: the file cannot be read, or holds no picture.
    """
    try:
        with warnings.catch_warnings(), Image.open(path, formats=_FORMATS) as file:
            warnings.simplefilter("ignore")  # of odd metadata
            picture = file.convert("RGB")
    except Exception as error:  # a damaged picture can raise anything
        reason = getattr(error, "strerror", None) or "no undamaged picture"
        raise DataError(f"{path}: cannot be read ({reason}); fetch the file again or remove it") from None
    return np.asarray(picture if size is None else _square(picture, size, crop))


def _square(picture: Image.Image, size: int, crop: float) -> Image.Image:
    shorter = min(picture.size)
    wanted = int(size / crop) if crop else max(size, shorter)
    if wanted != shorter:
        # the picture's longer side follows, rounded down (torchvision's Resize)
        width, height = (side * wanted // shorter for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = ((side - size) // 2 for side in picture.size)
    return picture.crop((left, top, left + size, top + size))
