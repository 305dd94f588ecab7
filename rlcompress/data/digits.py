"""Scikit-learn's handwritten digits, real data that needs no download."""

import numpy as np
import torch
from sklearn.datasets import load_digits as sklearn_digits

from rlcompress.data.images import ImageSet
from rlcompress.data.splits import DataSplits, split_training


def load_digits() -> DataSplits:
    """1,797 images [1, 8, 8] of 10 classes (UCI optical recognition of handwritten digits, Alpaydin and Kaynak 1998).

    The 17 grey levels are spread over 0 to 255. Every third image of each class is a test image.
    """
    data = sklearn_digits()
    images = torch.from_numpy(np.rint(data.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    everything = ImageSet(images, torch.from_numpy(data.target.astype(np.int64)))
    rank_in_class = np.empty(len(everything), np.int64)
    for digit in range(10):
        members = np.flatnonzero(data.target == digit)
        rank_in_class[members] = np.arange(len(members))
    is_test = torch.from_numpy(rank_in_class % 3 == 2)
    calibration, search, learning = split_training(everything.part(torch.nonzero(~is_test)[:, 0]), "digits")
    test_indices = torch.nonzero(is_test)[:, 0]
    return DataSplits(calibration, search, lambda: everything.part(test_indices), "digits", 10, learning)
