"""Repair after pruning and rounding, without retraining."""

from rlcompress.compensation.gradients import loss_gradients
from rlcompress.compensation.hessian import input_hessians
from rlcompress.compensation.moments import Moments, affine_to, match_moments, output_moments, removed_outputs
from rlcompress.compensation.obs import obs_sweep
from rlcompress.compensation.ranges import output_error, tune_ranges
from rlcompress.compensation.refit import refit

__all__ = [
    "Moments",
    "affine_to",
    "input_hessians",
    "loss_gradients",
    "match_moments",
    "obs_sweep",
    "output_error",
    "output_moments",
    "refit",
    "removed_outputs",
    "tune_ranges",
]
