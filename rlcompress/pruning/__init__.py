"""Which weights go: importance criteria, and the masks that each granularity allows."""

from rlcompress.pruning.criteria import CRITERIA, NEED_GRADIENTS
from rlcompress.pruning.filters import filter_classes
from rlcompress.pruning.granularities import GRANULARITY_MASKS, block_mask, element_mask
from rlcompress.pruning.statistics import LayerStatistics

__all__ = [
    "CRITERIA",
    "GRANULARITY_MASKS",
    "NEED_GRADIENTS",
    "LayerStatistics",
    "block_mask",
    "element_mask",
    "filter_classes",
]
