from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rlcompress.data import DataSplits, load_data
from rlcompress.data.set5 import luma
from rlcompress.errors import DataError

NAMES = ("baby", "bird", "butterfly", "head", "woman")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five test pictures of different sizes, and three training pictures."""
    chance = np.random.RandomState(0)
    for i, name in enumerate(NAMES):
        Image.fromarray(chance.randint(0, 256, (31 + i, 40, 3), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "train" / "deep").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(chance.randint(0, 256, (60, 58 + i, 3), np.uint8)).save(tmp_path / "train/deep" / f"{i}.png")
    return tmp_path


def load(folder: Path, options: str = "crops=8&size=9&scale=2") -> DataSplits:
    return load_data(f"set5:{folder}?train={folder / 'train'}&{options}")


def test_luma_of_black_and_white():
    assert luma(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)) == pytest.approx(np.array([[16.0, 235.0]]))


def test_shapes_and_borders(folder: Path) -> None:
    splits = load(folder, "crops=8&size=9&scale=3")
    assert (splits.name, splits.classes) == ("set5 x3", None)
    assert splits.calibration.images.shape == (2, 1, 9, 9)
    assert splits.search.images.shape == (6, 1, 9, 9)
    targets = splits.search.targets
    counted = torch.zeros(9, 9, dtype=torch.bool)
    counted[3:-3, 3:-3] = True
    assert torch.equal(targets.isfinite(), counted.expand(6, 1, 9, 9))
    assert float(targets[targets.isfinite()].min()) >= 16 / 255


def test_test_pictures_keep_their_sizes(folder: Path) -> None:
    test = load(folder).load_test()
    assert len(test) == 5
    assert [tuple(x.shape) for x, _ in test.batches((0.0,), (1.0,))] == [
        (1, 1, height, 40) for height in (30, 32, 32, 34, 34)
    ]


def test_inputs_look_like_their_targets(folder: Path) -> None:
    """Smooth pictures survive scaling down and up; input and target lie on each other and on the same scale."""
    ramp = np.add.outer(np.arange(80), 2 * np.arange(80)).astype(np.uint8)[..., None].repeat(3, 2)
    Image.fromarray(ramp).save(folder / "train" / "ramp.png")
    for i in range(3):
        (folder / "train" / "deep" / f"{i}.png").unlink()
    search = load(folder, "crops=8&size=21&scale=2").search
    difference = search.normalized(slice(None), (0.0,), (1.0,)) - search.targets
    assert float(difference.nan_to_num().abs().max()) < 1.5 / 255


def test_crops_are_the_same_every_time_and_differ(folder: Path) -> None:
    one, two = load(folder), load(folder)
    assert torch.equal(one.search.images, two.search.images)
    assert len({image.numpy().tobytes() for image in one.search.images}) == 6


def test_arrays_and_pictures_give_the_same(folder: Path) -> None:
    arrays = {f"{name}_GT": np.asarray(Image.open(folder / f"{name}.png")) for name in NAMES}
    from_pictures = list(load(folder).load_test().batches((0.0,), (1.0,)))
    np.savez(folder / "set5.npz", **arrays)
    from_arrays = list(load(folder).load_test().batches((0.0,), (1.0,)))
    for (x, t), (y, u) in zip(from_pictures, from_arrays, strict=True):
        assert torch.equal(x, y)
        assert torch.equal(t.nan_to_num(), u.nan_to_num())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("scale=5", "scale must be 2 to 4"),
        ("scale=2.5", "scale must be a number"),
        ("size=4", "above 2 x scale"),
        ("crops=1", "crops 2 to 6000"),
        ("size=41", "x60 pixels, but crops take 74; remove it"),
    ],
)
def test_wrong_options(folder: Path, options: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(folder, options)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_and_damaged_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="add &train=DIR"):
        load_data(f"set5:{folder}")
    (folder / "set5.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"set5\.npz cannot be read"):
        load(folder).load_test()
    (folder / "set5.npz").unlink()
    (folder / "bird.png").unlink()
    with pytest.raises(DataError, match=r"neither set5\.npz nor baby\.png, bird\.png"):
        load(folder)
    (folder / "none").mkdir()
    with pytest.raises(DataError, match="neither"):
        load_data(f"set5:{folder / 'none'}?train={folder}")
