"""The bank of compressed layers and the networks stitched from them."""

from rlcompress.candidates.bank import Candidates

__all__ = ["Candidates"]
