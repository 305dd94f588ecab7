import torch

from rlcompress.data import load_data


def test_digits_are_bytes_in_three_disjoint_stratified_parts():
    splits = load_data("digits")
    parts = (splits.calibration, splits.search, splits.test)
    assert [len(part) for part in parts] == [300, 901, 596]
    assert splits.classes == 10
    images = torch.cat([part.images for part in parts])
    assert images.shape == (1797, 1, 8, 8)
    assert (images.min(), images.max()) == (0, 255)
    # The digits hold no doubled image, so shared images would show here.
    assert len(images.flatten(1).unique(dim=0)) == 1797
    assert splits.test.labels.bincount().tolist() == [59, 60, 59, 61, 60, 60, 60, 59, 58, 60]


def test_digits_are_the_same_every_time():
    assert torch.equal(load_data("digits").search.images, load_data("digits").search.images)
