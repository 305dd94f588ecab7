"""Image folders as ImageNet has them: ``DIR/train/CLASS/*.JPEG`` and ``DIR/val/CLASS/*.JPEG``."""

import math
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rlcompress.data.images import ImageSet
from rlcompress.data.options import existing_folder
from rlcompress.data.pictures import SUFFIXES, read_picture
from rlcompress.data.splits import DataSplits, split_positions
from rlcompress.errors import DataError

Labelled = tuple[Path, int]
_MAX_SIZE = 4096


def load_imagefolder(folder: str, size: int = 224, crop: str = "0.875", classes: str | None = None) -> DataSplits:
    """Images in a folder a class; those of ``val`` are the test images.

    A class's number is its folder's place among the sorted names of both ``train`` and ``val`` (WordNet ids sort into
    ImageNet's order), or its line in ``classes``, or the name itself where all names are numbers. Only the
    images that the splits take are decoded.

    Args:
        folder: holds ``train`` and ``val``.
        size: side in pixels of the square that the network sees.
        crop: share of the shorter side that the square spans, above 0 and up to 1, or ``center`` to cut it out of
            the middle without scaling.
        classes: file with a folder name a line in the order of the network's classes, wanted where not every class has
            a folder.

    Raises:
        DataError: folders are missing or empty, or an option or a picture cannot be used.
    """
    where = f"data imagefolder:{folder}"
    root, share = existing_folder(folder, "imagefolder"), _share(crop, size, where)
    folders = {part: _class_folders(root / part, where) for part in ("train", "val")}
    names = sorted({path.name for part in folders.values() for path in part})
    numbers, count = _class_numbers(names, classes, where)
    training = _labelled(folders["train"], numbers)
    parts = ([training[i] for i in part.tolist()] for part in split_positions(len(training), where, 3 * size**2))
    calibration, search, learning = parts
    testing = _labelled(folders["val"], numbers)
    if not testing:
        raise DataError(f"{where}: no picture in {root / 'val'}; put the validation images into folders there")
    decode = partial(_decoded, size=size, crop=share)
    further = partial(_first_decoded, learning, size, share)
    return DataSplits(decode(calibration), decode(search), partial(decode, testing), "imagefolder", count, further)


def _share(crop: str, size: int, where: str) -> float:
    if not 1 <= size <= _MAX_SIZE:
        raise DataError(f"{where}: size must be 1 to {_MAX_SIZE} pixels, got {size}")
    try:
        share = 0.0 if crop == "center" else float(crop)
    except ValueError:
        share = -1.0
    if crop != "center" and not 0.0 < share <= 1.0:
        raise DataError(f"{where}: crop must be center or a share above 0 and up to 1, got {crop!r}")
    return share


def _class_folders(folder: Path, where: str) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{where}: {folder} cannot be read ({error.strerror}); ImageNet's layout has it") from None
    if not found:
        raise DataError(f"{where}: {folder} has no folders; put each class's images into a folder of its own")
    return found


def _class_numbers(names: Sequence[str], file: str | None, where: str) -> tuple[dict[str, int], int]:
    """Folder name -> class number, and the number of classes."""
    if file is None:
        if all(name.isdecimal() for name in names):
            numbers = {name: int(name) for name in names}
            return numbers, max(numbers.values()) + 1
        return {name: i for i, name in enumerate(names)}, len(names)
    try:
        text = Path(os.path.expanduser(file)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise DataError(f"{where}: classes={file} cannot be read ({reason}); give a file of folder names") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbers = {name: i for i, name in enumerate(lines)}
    strange = [name for name in names if name not in numbers]
    if strange or len(numbers) < len(lines):
        wrong = f"lacks folder {strange[0]!r}" if strange else "names a class twice"
        raise DataError(f"{where}: classes={file} {wrong}; give each class's folder name once, in order")
    return numbers, len(lines)


def _labelled(folders: Sequence[Path], numbers: dict[str, int]) -> list[Labelled]:
    """Every picture with its class number, in the order of the folders' and the files' names."""
    return [
        (folder / name, numbers[folder.name])
        for folder in folders
        for name in sorted(os.listdir(folder))
        if os.path.splitext(name)[1].lower() in SUFFIXES
    ]


def _first_decoded(files: Sequence[Labelled], size: int, crop: float, count: int) -> ImageSet | None:
    first = files[:count]
    return _decoded(first, size, crop) if first else None


def _reserve(file: int, size: int) -> None:
    """Give a file its size; where the system can, with the room for it: a full disk would end the process later."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def _decoded(files: Sequence[Labelled], size: int, crop: float) -> ImageSet:
    """The pictures as bytes in an unnamed temporary file, which may be larger than the memory."""
    shape = (len(files), 3, size, size)
    with tempfile.TemporaryFile() as file:
        try:
            _reserve(file.fileno(), math.prod(shape))
        except OSError as error:
            raise DataError(
                f"{tempfile.gettempdir()} has no room for {len(files)} pictures, {math.prod(shape) / 1e9:.1f} GB "
                f"({error.strerror}); make room, or name another folder by TMPDIR"
            ) from None
        pixels = np.memmap(file, np.uint8, "r+", shape=shape)
    for i, (path, _) in enumerate(files):
        pixels[i] = read_picture(path, size, crop).transpose(2, 0, 1)
    return ImageSet(torch.from_numpy(pixels), torch.tensor([number for _, number in files]))
