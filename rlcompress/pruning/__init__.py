"""Which weights go: importance criteria, and the masks that each granularity allows."""

from rlcompress.pruning.criteria import CRITERIA
from rlcompress.pruning.filters import filter_classes
from rlcompress.pruning.granularities import GRANULARITY_MASKS, block_mask, element_mask

__all__ = ["CRITERIA", "GRANULARITY_MASKS", "block_mask", "element_mask", "filter_classes"]
