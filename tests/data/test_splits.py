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


@given(count=st.integers(2, 18_000))
@settings(max_examples=50, deadline=None)
def test_no_two_parts_share_an_image(count):
    calibration, search, load_learning = split_training(numbered(count), "toy")
    assert len(calibration) == max(1, min(1000, count // 4))
    left = count - len(calibration)
    learned = min(4000, max(0, left - 5000))
    assert len(search) == min(10_000, left - learned)
    learning = load_learning(10_000)
    assert (0 if learning is None else len(learning)) == learned
    parts = [calibration, search, *([] if learning is None else [learning])]
    assert len(set().union(*(part.labels.tolist() for part in parts))) == sum(map(len, parts))


def test_the_permutation_is_fixed_for_ever():
    torch.manual_seed(1)
    calibration, search, load_learning = split_training(numbered(50_000), "toy")
    assert calibration.labels[:5].tolist() == [11841, 19602, 45519, 25747, 42642]
    assert (len(calibration), len(search), len(load_learning(5000))) == (1000, 10_000, 4000)
    assert search.labels[[4999, 5000]].tolist() == [20705, 20330]


def test_large_images_do_not_add_to_the_search():
    large = ImageSet(torch.zeros(1, 1, 80, 80, dtype=torch.uint8).expand(20_000, -1, -1, -1), None)
    assert len(split_training(large, "toy")[1]) == 5000


def test_images_for_learning_take_bounded_memory_and_follow_calibration():
    everything = ImageSet(torch.arange(8000, dtype=torch.float32)[:, None, None, None], None)
    calibration, search, load_learning = split_training(everything, "toy")
    splits = DataSplits(calibration, search, lambda: search, "toy", None, load_learning)
    further = splits.learning([0.0], [1 / 255])
    assert further.shape == (2000, 1, 1, 1)
    assert further.flatten().tolist() == pytest.approx(load_learning(9000).images.flatten().tolist())


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


def test_data_without_options_says_so():
    with pytest.raises(DataError, match=r"data 'digits\?size=3': 'digits' has no option but 'search'; leave out the"):
        load_data("digits?size=3")


def test_the_fingerprint_tells_images_order_and_targets_apart() -> None:
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    labels = torch.tensor([0, 1])

    def splits(search: ImageSet) -> DataSplits:
        return DataSplits(ImageSet(images, labels), search, lambda: search, "x", 2)

    same, backwards = ImageSet(images.clone(), labels.clone()), ImageSet(images.flip(0), labels.flip(0))
    prints = [splits(s).fingerprint for s in (same, ImageSet(images, labels), backwards, ImageSet(images, None))]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_large_images_leave_fewer_to_learn_from():
    asked = []
    large = ImageSet(torch.zeros(1, 3, 224, 224, dtype=torch.uint8), None)
    splits = DataSplits(large, large, lambda: large, "toy", None, asked.append)
    assert splits.learning([0.0] * 3, [1.0] * 3) is None
    assert asked == [425]  # of 150,528 bytes in 64 MB


def test_search_images_are_moved_where_that_is_asked_for():
    plain, moved = load_data("digits"), load_data("digits?search=moved")
    assert torch.equal(plain.search.images[::2], moved.search.images[::2])
    assert not torch.equal(plain.search.images, moved.search.images)
    assert torch.equal(plain.search.labels, moved.search.labels)
    assert torch.equal(plain.calibration.images, moved.calibration.images)
    assert torch.equal(plain.test.images, moved.test.images)
    assert plain.fingerprint != moved.fingerprint


@pytest.mark.parametrize("query", ["search=turned", "search=moved&search=moved", "search"])
def test_other_search_images_are_refused(query):
    with pytest.raises(DataError, match="the option 'search' takes 'moved'"):
        load_data(f"digits?{query}")
