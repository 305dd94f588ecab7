"""Layer specifications, layer choices and compression policies: the data that every other part speaks in.

Imports neither torch nor any other part of rlcompress, so that hardware models and report tools start quickly.
"""

from rlcompress.spec.batch import ChoiceBatch
from rlcompress.spec.choice import (
    CRITERIA,
    ENTRY_BITS,
    GRANULARITIES,
    KEEP_RATIO_STEP,
    REFERENCE_BITS,
    WEIGHT_QUANTIZERS,
    LayerChoice,
    keep_count,
    keep_counts,
)
from rlcompress.spec.files import specs_from_json, specs_to_json
from rlcompress.spec.granularity import FIXED_KEEP_RATIOS, applies, check_applies, offered_keep_ratios
from rlcompress.spec.layer import COMPRESSIBLE_KINDS, KINDS, LayerSpec, fingerprint, rounded_to
from rlcompress.spec.policy import CompressionPolicy, LayerEntry, NetworkReference, policy_json_schema
from rlcompress.spec.structure import NetworkStructure

__all__ = [
    "COMPRESSIBLE_KINDS",
    "CRITERIA",
    "ENTRY_BITS",
    "FIXED_KEEP_RATIOS",
    "GRANULARITIES",
    "KEEP_RATIO_STEP",
    "KINDS",
    "REFERENCE_BITS",
    "WEIGHT_QUANTIZERS",
    "ChoiceBatch",
    "CompressionPolicy",
    "LayerChoice",
    "LayerEntry",
    "LayerSpec",
    "NetworkReference",
    "NetworkStructure",
    "applies",
    "check_applies",
    "fingerprint",
    "keep_count",
    "keep_counts",
    "offered_keep_ratios",
    "policy_json_schema",
    "rounded_to",
    "specs_from_json",
    "specs_to_json",
]
