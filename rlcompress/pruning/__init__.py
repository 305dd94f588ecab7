"""Which weights go: importance criteria, and the masks that each granularity allows."""

from rlcompress.pruning.criteria import CRITERIA, NEED_GRADIENTS
from rlcompress.pruning.filters import filter_classes, voted
from rlcompress.pruning.granularities import GRANULARITY_MASKS, block_mask, element_mask
from rlcompress.pruning.statistics import LayerStatistics
from rlcompress.pruning.structured import Reader, removal_order

__all__ = [
    "CRITERIA",
    "GRANULARITY_MASKS",
    "NEED_GRADIENTS",
    "LayerStatistics",
    "Reader",
    "block_mask",
    "element_mask",
    "filter_classes",
    "removal_order",
    "voted",
]
