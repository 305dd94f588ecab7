"""Which weights go: importance criteria, and the masks that each granularity allows."""

from rlcompress.pruning.criteria import CRITERIA
from rlcompress.pruning.masks import element_mask, filter_classes

__all__ = ["CRITERIA", "element_mask", "filter_classes"]
