from dataclasses import replace

import numpy as np
import pytest
import torch

from rlcompress.data import as_splits, check_data_fits, check_shape
from rlcompress.errors import DataError
from rlcompress.network.cards import get_card

CARD = replace(get_card("digits_cnn"), input_shape=(1, 4, 4), classes=4)
IMAGES = torch.zeros(12, 1, 4, 4, dtype=torch.uint8)


def splits(labels, images=IMAGES):
    part = (images, np.resize(labels, (len(images), *np.shape(labels)[1:])))
    return as_splits((part, part), "mine")


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 1, 2], [1, 3]])
def test_classes_that_no_label_names_may_be_absent(labels):
    check_data_fits(CARD, splits(labels))


def test_other_data_is_refused():
    with pytest.raises(DataError, match="the data has 5 classes, but the network 4"):
        check_data_fits(CARD, splits([4]))
    stated = replace(splits([0, 1, 2]), counted=False)
    with pytest.raises(DataError, match="the data has 3 classes, but the network 4"):
        check_data_fits(CARD, stated)
    with pytest.raises(DataError, match=r"images have shape \(1, 4, 3\), but digits_cnn takes \(1, 4, 4\)"):
        check_data_fits(CARD, splits([3], IMAGES[..., :3]))
    with pytest.raises(DataError, match="gives images; use other data"):
        check_data_fits(replace(CARD, classes=None), splits([3]))


def test_a_network_that_gives_images_takes_any_size():
    check_shape(replace(CARD, classes=None), (1, 9, 7))
    with pytest.raises(DataError, match=r"images have shape \(2, 4, 4\), but .*; use other data$"):
        check_shape(replace(CARD, classes=None), (2, 4, 4))


def test_image_folders_for_a_network_of_one_channel():
    with pytest.raises(DataError, match=r"takes \(1, 4, 4\); use other data \(image folders have 3 channels\)$"):
        check_shape(CARD, (3, 4, 4))


def test_a_network_of_one_output_takes_any_labels():
    single = replace(CARD, classes=1)
    for labels in ([0, 1], [0, 5], [0.0, 1.0], [0.3, -0.2]):
        check_data_fits(single, splits(labels))


def test_class_numbers_that_became_floats_are_caught():
    with pytest.raises(
        DataError, match="digits_cnn names 4 classes, but labels are whole numbers as floats; give class"
    ):
        check_data_fits(CARD, splits([0.0, 3.0]))
    check_data_fits(CARD, splits([0.5, 3.0]))
    check_data_fits(CARD, splits([[0.0], [3.0]] * 6))
