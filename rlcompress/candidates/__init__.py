"""The bank of compressed layers and the networks stitched from them."""

from rlcompress.candidates.bank import SUPPORTED_GRANULARITIES, Candidates

__all__ = ["SUPPORTED_GRANULARITIES", "Candidates"]
