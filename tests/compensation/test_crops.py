import pytest
import torch

from rlcompress.compensation import seen_size
from tests.small_networks import OptionAResNet, PerPixel, images


def test_crops_are_enough_where_outputs_are_pixels():
    assert seen_size(PerPixel(), images(1, 3, 80, 96)) == (64, 64)
    assert seen_size(PerPixel(), images(1, 3, 80, 20)) == (64, 20)


@pytest.mark.parametrize(
    ("network", "size"), [(PerPixel((80, 96)), (80, 96)), (OptionAResNet(), (80, 80)), (PerPixel(), (32, 64))]
)
def test_whole_images_are_looked_at_where_outputs_are_no_pixels_or_few(network, size):
    assert seen_size(network, torch.zeros(1, 3, *size)) == size
