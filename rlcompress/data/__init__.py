"""Data sets, with calibration, search and test images kept apart."""

from rlcompress.data.datasets import as_splits
from rlcompress.data.fit import check_data_fits, check_shape
from rlcompress.data.images import Images, ImageSet, MixedSizes
from rlcompress.data.load import load_data
from rlcompress.data.splits import DataSplits

__all__ = ["DataSplits", "ImageSet", "Images", "MixedSizes", "as_splits", "check_data_fits", "check_shape", "load_data"]
