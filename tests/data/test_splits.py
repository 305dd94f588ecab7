import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.data import DataSplits, ImageSet, load_data
from rlcompress.data.splits import split_training
from rlcompress.errors import DataError


def numbered(count):
    """Images [1, 1, 1] whose labels are their numbers."""
    return ImageSet(torch.zeros(count, 1, 1, 1, dtype=torch.uint8), torch.arange(count))


@given(count=st.integers(2, 9000))
@settings(max_examples=50, deadline=None)
def test_calibration_and_search_never_share_an_image(count):
    calibration, search = split_training(numbered(count), "toy")
    assert len(calibration) == max(1, min(1000, count // 4))
    assert len(search) == min(5000, count - len(calibration))
    assert len(set(calibration.labels.tolist()) | set(search.labels.tolist())) == len(calibration) + len(search)


def test_the_permutation_is_fixed_for_ever():
    torch.manual_seed(1)
    calibration, search = split_training(numbered(50_000), "toy")
    assert calibration.labels[:5].tolist() == [11841, 19602, 45519, 25747, 42642]
    assert (len(calibration), len(search)) == (1000, 5000)


def test_a_single_training_image_cannot_be_split():
    with pytest.raises(DataError, match="toy: one training image"):
        split_training(numbered(1), "toy")


def test_test_images_are_read_once_and_only_when_asked_for():
    reads = []

    def read():
        reads.append(1)
        return numbered(3)

    splits = DataSplits(numbered(1), numbered(2), read, "toy", 3)
    assert not reads
    assert splits.test is splits.test
    assert reads == [1]


@pytest.mark.parametrize("data", ["mnist", "digits:x", "cifar10", "cifar10:", "cifar1000:x", ""])
def test_unknown_data_lists_what_there_is(data):
    with pytest.raises(
        DataError,
        match=r"unknown data .*: give one of digits, cifar10:DIR, cifar100:DIR, imagefolder:DIR, set5:DIR, package",
    ):
        load_data(data)


def test_the_fingerprint_tells_images_order_and_targets_apart() -> None:
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    labels = torch.tensor([0, 1])

    def splits(search: ImageSet) -> DataSplits:
        return DataSplits(ImageSet(images, labels), search, lambda: search, "x", 2)

    same, backwards = ImageSet(images.clone(), labels.clone()), ImageSet(images.flip(0), labels.flip(0))
    prints = [splits(s).fingerprint for s in (same, ImageSet(images, labels), backwards, ImageSet(images, None))]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
