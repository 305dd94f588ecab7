import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rlcompress.data import DataSplits, load_data
from rlcompress.errors import DataError


def write(path: Path, value: int, width: int = 8, height: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (value, 0, 255 - value)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes, the last without test images; each picture's red tells which it is."""
    for i, name in enumerate(("n01", "n02", "n07")):
        for k in range(4):
            write(tmp_path / "train" / name / f"{k}.png", 10 * i + k)
    for i, name in enumerate(("n01", "n02")):
        write(tmp_path / "val" / name / "a.png", 100 + i)
    (tmp_path / "train" / "n01" / "notes.txt").write_text("no picture")
    return tmp_path


def load(folder: Path, options: str = "size=8&crop=center") -> DataSplits:
    return load_data(f"imagefolder:{folder}?{options}")


def test_classes_are_numbered_over_both_splits(folder: Path) -> None:
    splits = load(folder)
    assert (splits.classes, splits.name) == (3, "imagefolder")
    assert (len(splits.calibration), len(splits.search)) == (3, 9)
    for part in (splits.calibration, splits.search):
        assert torch.equal(part.images[:, 0, 0, 0] // 10, part.labels.byte())
        assert torch.equal(part.images[:, 2, 3, 3], 255 - part.images[:, 0, 3, 3])
    test = splits.load_test()
    assert test.images[:, 0, 0, 0].tolist() == [100, 101]
    assert test.labels.tolist() == [0, 1]


def test_every_training_picture_is_used_once(folder: Path) -> None:
    splits = load(folder)
    reds = torch.cat([part.images[:, 0, 0, 0] for part in (splits.calibration, splits.search)])
    assert sorted(reds.tolist()) == [10 * i + k for i in range(3) for k in range(4)]


def test_a_class_without_training_images_keeps_its_number(folder: Path) -> None:
    write(folder / "val" / "n00" / "b.png", 99)
    splits = load(folder)
    assert splits.classes == 4
    assert splits.load_test().labels.tolist() == [0, 1, 2]


def test_names_that_are_numbers_are_the_classes_numbers(tmp_path: Path) -> None:
    for name in ("0003", "0999"):
        write(tmp_path / "train" / name / "a.png", 1)
        write(tmp_path / "train" / name / "b.png", 1)
    write(tmp_path / "val" / "0003" / "a.png", 1)
    write(tmp_path / "train" / ".cache" / "a.png", 1)
    splits = load(tmp_path)
    assert splits.classes == 1000
    assert set(splits.calibration.labels.tolist() + splits.search.labels.tolist()) == {3, 999}
    assert splits.load_test().labels.tolist() == [3]


def test_a_file_of_classes_numbers_a_subset(folder: Path, tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("n00\nn07\nn02\nn01\n")
    splits = load(folder, f"size=8&crop=center&classes={names}")
    assert splits.classes == 4
    assert splits.load_test().labels.tolist() == [3, 2]
    names.write_text("n07\nn02\n")
    with pytest.raises(DataError, match="lacks folder 'n01'; give each class's folder name once"):
        load(folder, f"classes={names}")
    names.write_text("n01\nn07\nn02\nn02\n")
    with pytest.raises(DataError, match="names a class twice"):
        load(folder, f"classes={names}")


def test_names_of_classes_may_have_spaces(tmp_path: Path) -> None:
    for part, name in (("train", "tabby cat"), ("train", "hen"), ("val", "hen")):
        (tmp_path / part / name).mkdir(parents=True)
        write(tmp_path / part / name / "a.png", 1)
        write(tmp_path / part / name / "b.png", 1)
    (tmp_path / "classes.txt").write_text("golden retriever\ntabby cat\n\nhen\n")
    splits = load(tmp_path, f"size=8&crop=center&classes={tmp_path / 'classes.txt'}")
    assert (splits.classes, splits.load_test().labels.tolist()) == (3, [2, 2])


def test_no_room_for_decoded_pictures_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(
        DataError, match=r"has no room for \d+ pictures, 0\.0 GB \(No space left on device\); make room"
    ):
        load(folder)


def gradient(path: Path, width: int, height: int) -> None:
    """Red counts columns, green rows."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(width), np.arange(height)[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("options", "left", "top", "step"),
    [
        ("size=20&crop=center", 20, 10, 1.0),  # cut out
        ("size=20&crop=0.5", 20, 10, 1.0),  # 20 is half of the shorter side, 40
        ("size=20&crop=1", 10, 0, 2.0),  # all of the shorter side, at half the size
    ],
)
def test_crops(tmp_path: Path, options: str, left: int, top: int, step: float) -> None:
    gradient(tmp_path / "train" / "a" / "x.png", 60, 40)
    gradient(tmp_path / "train" / "b" / "x.png", 60, 40)
    gradient(tmp_path / "val" / "a" / "x.png", 60, 40)
    image = load(tmp_path, options).load_test().images[0].float()
    assert image.shape == (3, 20, 20)
    middle = slice(4, 16)  # away from the borders of the scaling
    at = torch.arange(20.0)[middle] * step + (step - 1) / 2
    assert torch.allclose(image[0, 8, middle], left + at, atol=0.51)
    assert torch.allclose(image[1, middle, 8], top + at, atol=0.51)


def test_smaller_pictures_are_enlarged(tmp_path: Path) -> None:
    for place in ("train/a/x.png", "train/a/y.png", "val/a/x.png"):
        write(tmp_path / place, 7, width=5, height=9)
    assert load(tmp_path, "size=12&crop=center").load_test().images.shape == (1, 3, 12, 12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("size=0", "size must be 1 to 4096 pixels, got 0"),
        ("size=big", "size must be a number, got 'big'"),
        ("crop=2", "crop must be center or a share above 0 and up to 1, got '2'"),
        ("crop=middle", "crop must be center or a share"),
        ("zoom=2", "option 'zoom' is unknown; it has size, crop, classes"),
        ("size=8&size=9", "option 'size' is given twice"),
        ("classes=absent.txt", "classes=absent.txt cannot be read"),
    ],
)
def test_wrong_options(folder: Path, options: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(folder, options)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        load(tmp_path / "absent")
    (folder / "empty" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match="train has no folders; put each class's images"):
        load(folder / "empty")
    (folder / "val").rename(folder / "validation")
    with pytest.raises(DataError, match="val cannot be read"):
        load(folder)


def test_a_damaged_picture_is_named(folder: Path) -> None:
    (folder / "val" / "n01" / "a.png").write_bytes(b"no picture at all")
    splits = load(folder)
    with pytest.raises(DataError, match=r"n01/a\.png: cannot be read \(no undamaged picture\)"):
        splits.load_test()
    whole = (folder / "train" / "n02" / "1.png").read_bytes()
    (folder / "train" / "n02" / "1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"n02/1\.png: cannot be read"):
        load(folder)
