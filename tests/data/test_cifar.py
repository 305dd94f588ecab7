import numpy as np
import pytest
import torch

from rlcompress.data import load_data
from rlcompress.errors import DataError
from tests.data.python2_pickle import dumps


def random_rows(seed, count, classes):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3072), np.uint8), rng.integers(0, classes, count)


def write_binary(path, pixels, *labels):
    path.parent.mkdir(exist_ok=True)
    np.column_stack([*labels, pixels]).astype(np.uint8).tofile(path)


def write_python(path, pixels, labels, key=b"labels"):
    path.parent.mkdir(exist_ok=True)
    names = [b"image_%d.png" % i for i in range(len(pixels))]
    path.write_bytes(dumps({b"batch_label": b"a", key: labels.tolist(), b"data": pixels, b"filenames": names}))


@pytest.fixture
def cifar10(tmp_path):
    """Both versions of the same 12 + 8 training images and 6 test images."""
    sets = {"data_batch_1": random_rows(1, 12, 10), "data_batch_3": random_rows(3, 8, 10)}
    for name, (pixels, labels) in (sets | {"test_batch": random_rows(9, 6, 10)}).items():
        write_binary(tmp_path / "cifar-10-batches-bin" / f"{name}.bin", pixels, labels)
        write_python(tmp_path / "cifar-10-batches-py" / name, pixels, labels)
    return tmp_path


@pytest.mark.parametrize("folder", ["", "cifar-10-batches-bin", "cifar-10-batches-py"])
def test_cifar10_in_both_versions_at_the_folder_or_its_parent(cifar10, folder):
    splits = load_data(f"cifar10:{cifar10 / folder}")
    assert (len(splits.calibration), len(splits.search), splits.name, splits.classes) == (5, 15, "cifar10", 10)
    pixels, labels = random_rows(9, 6, 10)
    assert torch.equal(splits.test.images, torch.from_numpy(pixels.reshape(6, 3, 32, 32)))
    assert splits.test.labels.tolist() == labels.tolist()


def test_training_images_are_all_used_once_with_their_labels(cifar10):
    splits = load_data(f"cifar10:{cifar10}")
    parts = [splits.calibration, splits.search]
    seen = {
        image.numpy().tobytes(): int(label)
        for part in parts
        for image, label in zip(part.images, part.labels, strict=True)
    }
    wanted = [random_rows(1, 12, 10), random_rows(3, 8, 10)]
    assert seen == {
        row.tobytes(): int(label) for pixels, labels in wanted for row, label in zip(pixels, labels, strict=True)
    }


def test_home_folder_is_expanded(cifar10, monkeypatch):
    monkeypatch.setenv("HOME", str(cifar10))
    assert len(load_data("cifar10:~/cifar-10-batches-bin").search) == 15


@pytest.mark.parametrize("version", ["binary", "python"])
def test_cifar100_has_its_fine_labels(tmp_path, version):
    for name, seed in (("train", 1), ("test", 2)):
        pixels, fine = random_rows(seed, 8, 100)
        if version == "binary":
            write_binary(tmp_path / "cifar-100-binary" / f"{name}.bin", pixels, fine // 5, fine)
        else:
            write_python(tmp_path / "cifar-100-python" / name, pixels, fine, b"fine_labels")
    splits = load_data(f"cifar100:{tmp_path}")
    assert splits.classes == 100
    assert splits.test.labels.tolist() == random_rows(2, 8, 100)[1].tolist()
    assert torch.equal(splits.test.images.flatten(1), torch.from_numpy(random_rows(2, 8, 100)[0]))


def test_damaged_test_images_show_when_they_are_asked_for(cifar10):
    (cifar10 / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(b"\0" * 3072)
    splits = load_data(f"cifar10:{cifar10}")
    with pytest.raises(DataError, match=r"test_batch\.bin: 3072 bytes are not whole rows of 3073"):
        _ = splits.test


def assert_one_line(data, *parts):
    with pytest.raises(DataError) as caught:
        load_data(data)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_missing_folder_and_files(cifar10, tmp_path):
    assert_one_line(f"cifar10:{tmp_path / 'absent'}", "no such folder")
    assert_one_line(f"cifar100:{cifar10}", "no train.bin or train there")
    (cifar10 / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    assert_one_line(f"cifar10:{cifar10}", "test_batch.bin is missing")


@pytest.mark.parametrize("content", [b"", b"\1" * 3074])
def test_a_file_of_a_wrong_length(cifar10, content):
    (cifar10 / "cifar-10-batches-bin" / "data_batch_1.bin").write_bytes(content)
    assert_one_line(f"cifar10:{cifar10}", "data_batch_1.bin", f"{len(content)} bytes are not whole rows of 3073")


def test_labels_out_of_range(cifar10):
    write_binary(cifar10 / "cifar-10-batches-bin" / "data_batch_3.bin", np.zeros((3, 3072), np.uint8), [0, 9, 10])
    assert_one_line(f"cifar10:{cifar10}", "data_batch_3.bin", "image 2 has label 10, not 0 to 9")
    write_python(cifar10 / "cifar-10-batches-py" / "data_batch_1", np.zeros((2, 3072), np.uint8), np.array([0, -1]))
    assert_one_line(f"cifar10:{cifar10 / 'cifar-10-batches-py'}", "data_batch_1", "image 1 has label -1, not 0 to 9")


def test_a_file_that_cannot_be_opened(cifar10):
    batch = cifar10 / "cifar-10-batches-bin" / "data_batch_1.bin"
    batch.unlink()
    batch.mkdir()
    assert_one_line(f"cifar10:{cifar10}", "data_batch_1.bin", "make the file readable")
