"""Repair after pruning and rounding, without retraining."""

from rlcompress.compensation.crops import seen_size
from rlcompress.compensation.gradients import loss_gradients
from rlcompress.compensation.gradual import by_stage, stages
from rlcompress.compensation.hessian import InputHessians, input_hessians
from rlcompress.compensation.inputs import visit_inputs
from rlcompress.compensation.local import InputMeans, local_moments
from rlcompress.compensation.moments import (
    Moments,
    affine_to,
    match_moments,
    output_moments,
    removed_outputs,
    rescale,
)
from rlcompress.compensation.obs import obs_sweep
from rlcompress.compensation.ranges import output_error, tuned_ranges
from rlcompress.compensation.refit import refit
from rlcompress.compensation.rounded import RoundedLayer
from rlcompress.compensation.rounding import learn_rounding
from rlcompress.compensation.sequence import refit_bytes, refit_in_sequence
from rlcompress.compensation.shrinkage import shrunk
from rlcompress.compensation.synthesis import synthetic_images

__all__ = [
    "InputHessians",
    "InputMeans",
    "Moments",
    "RoundedLayer",
    "affine_to",
    "by_stage",
    "input_hessians",
    "learn_rounding",
    "local_moments",
    "loss_gradients",
    "match_moments",
    "obs_sweep",
    "output_error",
    "output_moments",
    "refit",
    "refit_bytes",
    "refit_in_sequence",
    "removed_outputs",
    "rescale",
    "seen_size",
    "shrunk",
    "stages",
    "synthetic_images",
    "tuned_ranges",
    "visit_inputs",
]
