"""Super-resolution of luma: Set5 (Bevilacqua et al., BMVC 2012) for testing, the user's own pictures for the search."""

import io
import math
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rlcompress.data.images import ImageSet, MixedSizes
from rlcompress.data.imresize import imresize
from rlcompress.data.options import existing_folder
from rlcompress.data.pictures import SUFFIXES, read_picture
from rlcompress.data.splits import DataSplits, split_training
from rlcompress.errors import DataError
from rlcompress.files import LimitError, check_size

Picture = NDArray[np.uint8]
_NAMES = ("baby", "bird", "butterfly", "head", "woman")
_MAX_FILE_BYTES = 100_000_000
_PLACES = 8  # that a crop is chosen among, for its contrast: blank sky has a PSNR that nothing else comes near
_MARGIN = 8  # pixels of the small picture around a crop: more than two bicubic kernels reach


def load_set5(folder: str, train: str = "", scale: int = 2, crops: int = 96, size: int = 41) -> DataSplits:
    """Luma of pictures scaled down and up again (MATLAB's bicubic ``imresize``), with the original's luma as target.

    Images are luma on the scale 0 to 255 of ITU-R BT.601 (16 to 235), not rounded; targets are luma / 255, NaN in a
    border of ``scale`` pixels, which published PSNRs leave out. Test pictures are cut to multiples of ``scale``.

    Args:
        folder: holds ``set5.npz`` (arrays ``baby_GT``, ... [H, W, 3] bytes) or the pictures ``baby.png``, ...
        train: folder in or below which training pictures lie; ImageNet's photographs do.
        scale: of super-resolution, 2 to 4.
        crops: how many squares are cut out of training pictures, at places of contrast that are fixed for ever; a
            quarter of them calibrates.
        size: of a square's side in pixels; VDSR was trained on 41.

    Raises:
        DataError: pictures are missing, damaged or too small, or an option is out of range.
    """
    where = f"data set5:{folder}"
    if not (2 <= scale <= 4 and 2 <= crops <= 6000 and 2 * scale < size <= 512):
        raise DataError(f"{where}: scale must be 2 to 4, crops 2 to 6000 and size up to 512, above 2 x scale")
    sources = _originals(existing_folder(folder, "set5"), where)
    if not train:
        raise DataError(f"{where}: calibration and search want pictures that Set5 does not hold; add &train=DIR")
    patches = _patches(existing_folder(train, "set5 train="), crops, size + 2 * _MARGIN * scale, scale)
    training = _image_set([_pair(patch, scale, size) for patch in patches])
    calibration, search, learning = split_training(training, where)
    test = partial(_test_images, sources, where, scale)
    return DataSplits(calibration, search, test, f"set5 x{scale}", None, learning)


def luma(picture: Picture) -> NDArray[np.float64]:
    """Luma [H, W] of ITU-R BT.601 of RGB bytes [H, W, 3], 16 for black to 235 for white."""
    return np.asarray(16.0 + picture.astype(np.float64) @ [65.481, 128.553, 24.966] / 255.0)


def _test_images(sources: Sequence[Path], where: str, scale: int) -> MixedSizes:
    pictures = _read_arrays(sources[0], where) if len(sources) == 1 else [read_picture(file) for file in sources]
    return MixedSizes(tuple(_image_set([_pair(picture, scale)]) for picture in pictures))


def _originals(root: Path, where: str) -> list[Path]:
    """``set5.npz``, or five picture files."""
    if (root / "set5.npz").is_file():
        return [root / "set5.npz"]
    files = [p for name in _NAMES for p in sorted(root.glob(f"{name}.*")) if p.suffix.lower() in SUFFIXES]
    if [file.stem for file in files] != list(_NAMES):
        wanted = ", ".join(f"{name}.png" for name in _NAMES)
        raise DataError(f"{where}: neither set5.npz nor {wanted} there; give the folder of Set5's originals")
    return files


def _read_arrays(file: Path, where: str) -> list[Picture]:
    try:
        check_size(file, _MAX_FILE_BYTES)
        with zipfile.ZipFile(file) as archive:
            return [_array(archive, f"{name}_GT.npy") for name in _NAMES]
    except Exception as error:  # a damaged file can raise anything
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{where}: {file.name} cannot be read ({reason}); fetch it again") from None


def _array(archive: zipfile.ZipFile, name: str) -> Picture:
    """One array of bytes [H, W, 3]; numpy's own reader would believe any size that a header states."""
    entry = archive.getinfo(name)
    if entry.file_size > _MAX_FILE_BYTES:
        raise LimitError(f"{name} is larger than a picture")
    content = archive.read(entry)
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or math.prod(shape) != len(content) - stream.tell():
        raise LimitError(f"{name} is {dtype} {shape}, not bytes [H, W, 3]")
    return np.frombuffer(content, np.uint8, offset=stream.tell()).reshape(shape, order="F" if fortran else "C")


def _patches(folder: Path, count: int, side: int, scale: int) -> list[Picture]:
    """Squares of ``side`` pixels, rounded up to a multiple of ``scale``, from the pictures in turn."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"data set5: no picture in or below {folder}; give a folder of photographs with &train=")
    side = -(-side // scale) * scale
    # RandomState's streams are frozen (NEP 19): the crops stay the same under every numpy.
    chance = np.random.RandomState(0)
    order = chance.permutation(len(files))
    return [_patch(files[order[i % len(files)]], side, chance) for i in range(count)]


def _patch(file: Path, side: int, chance: np.random.RandomState) -> Picture:
    picture = read_picture(file)
    if min(picture.shape[:2]) < side:
        raise DataError(f"{file}: {picture.shape[1]}x{picture.shape[0]} pixels, but crops take {side}; remove it")
    places = [tuple(chance.randint(room - side + 1) for room in picture.shape[:2]) for _ in range(_PLACES)]
    patches = [picture[top : top + side, left : left + side] for top, left in places]
    return max(patches, key=lambda patch: float(luma(patch).std()))


def _pair(picture: Picture, scale: int, size: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Input and target [1, H, W] of a picture, or of the square of ``size`` pixels in its middle."""
    height, width = (side // scale * scale for side in picture.shape[:2])
    picture = picture[:height, :width]
    degraded = luma(imresize(imresize(picture, Fraction(1, scale)), Fraction(scale)))
    original = luma(picture) / 255.0
    if size is not None:
        top, left = (height - size) // 2, (width - size) // 2
        degraded, original = (x[top : top + size, left : left + size] for x in (degraded, original))
    target = np.full_like(original, np.nan)
    target[scale:-scale, scale:-scale] = original[scale:-scale, scale:-scale]
    return degraded.astype(np.float32)[None], target.astype(np.float32)[None]


def _image_set(pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> ImageSet:
    images, targets = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
    return ImageSet(images, targets)
