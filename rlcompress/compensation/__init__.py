"""Repair after pruning and rounding, without retraining."""

from rlcompress.compensation.moments import Moments, match_moments, output_moments

__all__ = ["Moments", "match_moments", "output_moments"]
