"""Data sets, with calibration, search and test images kept apart."""

from rlcompress.data.images import ImageSet
from rlcompress.data.load import load_data
from rlcompress.data.splits import DataSplits

__all__ = ["DataSplits", "ImageSet", "load_data"]
