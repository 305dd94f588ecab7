"""The bank of compressed layers and the networks stitched from them."""

from rlcompress.candidates.bank import CORRECTIONS, Candidates
from rlcompress.candidates.store import Key
from rlcompress.candidates.tiers import TIERS, calibration_images, check_tier, learning_steps, tier_name

__all__ = [
    "CORRECTIONS",
    "TIERS",
    "Candidates",
    "Key",
    "calibration_images",
    "check_tier",
    "learning_steps",
    "tier_name",
]
