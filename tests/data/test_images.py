import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.data import ImageSet
from rlcompress.errors import DataError

EVERY_BYTE = ImageSet(torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1), torch.zeros(256, dtype=torch.int64))


@given(mean=st.floats(0, 1), std=st.floats(0.01, 1))
@settings(deadline=None)
def test_normalisation_is_that_of_the_cards(mean, std):
    expected = ((torch.arange(256).double() / 255 - mean) / std).float().view(256, 1, 1, 1)
    torch.testing.assert_close(EVERY_BYTE.normalized(slice(None), [mean], [std]), expected, rtol=1e-6, atol=2e-5)


def test_networks_that_take_bytes_get_them_exactly():
    raw = EVERY_BYTE.normalized(slice(None), [0.0], [1 / 255])
    assert torch.equal(raw.flatten(), torch.arange(256.0))
    signed = EVERY_BYTE.normalized(slice(None), [128 / 255], [128 / 255])
    assert torch.equal(signed.flatten(), (torch.arange(256.0) - 128) / 128)


def test_channels_and_indices_keep_their_places():
    images = ImageSet(torch.tensor([[[[0]], [[255]]], [[[51]], [[102]]]], dtype=torch.uint8), torch.tensor([3, 4]))
    x = images.normalized(torch.tensor([1, 0]), [0.0, 0.4], [1.0, 0.5])
    torch.testing.assert_close(x.flatten(), torch.tensor([0.2, 0.0, 0.0, 1.2]))
    assert images.part(torch.tensor([1])).labels.tolist() == [4]


def test_wrong_channel_count_is_an_error():
    with pytest.raises(DataError, match="images have 1 channels, but the network takes 3 means"):
        EVERY_BYTE.normalized(slice(None), [0.0] * 3, [1.0] * 3)


@pytest.mark.parametrize(
    ("images", "labels", "problem"),
    [
        (torch.zeros(2, 1, 8, 8).double(), torch.zeros(2, dtype=torch.int64), "images must be uint8"),
        (torch.zeros(2, 8, 8, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), "images must be uint8"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), r"labels must be int64 \[2\]"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2).double(), "labels must be int64"),
        (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64), "at least one image"),
    ],
)
def test_images_and_labels_are_checked(images, labels, problem):
    with pytest.raises(DataError, match=problem):
        ImageSet(images, labels)
