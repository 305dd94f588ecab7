import pytest
import torch

from rlcompress.data import load_data
from rlcompress.network.builtin.digits_training import train_digits_cnn
from rlcompress.network.cards import get_card


@pytest.fixture(scope="module")
def normalized():
    card, splits = get_card("digits_cnn"), load_data("digits")
    sets = (splits.calibration, splits.search, splits.test)
    return [(images.normalized(slice(None), card.mean, card.std), images.labels) for images in sets]


def test_more_than_97_percent_of_the_test_digits_are_right(normalized):
    calibration, search, (test_images, test_labels) = normalized
    images, labels = (torch.cat(pair) for pair in zip(calibration, search, strict=True))
    network = train_digits_cnn(images, labels, seed=0)
    assert not network.training
    with torch.inference_mode():
        assert (network(test_images).argmax(1) == test_labels).float().mean() > 0.97


def test_training_depends_on_the_seed_alone_and_leaves_the_global_random_state(normalized):
    images, labels = (tensor[:100] for tensor in normalized[0])
    torch.manual_seed(1)
    first = train_digits_cnn(images, labels, seed=0)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(3))
    for seed, same in ((0, True), (1, False)):
        again = train_digits_cnn(images, labels, seed=seed)
        assert torch.equal(first.linear.weight, again.linear.weight) is same


def test_card_normalises_digits_to_mean_zero_and_deviation_one(normalized):
    images = torch.cat([images for images, _ in normalized])
    assert images.mean().item() == pytest.approx(0, abs=1e-3)
    assert images.std().item() == pytest.approx(1, abs=1e-3)
