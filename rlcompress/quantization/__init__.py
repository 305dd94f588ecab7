"""Quantizers for weights and activations, with ranges of least error."""

from rlcompress.quantization.activations import ActivationQuantizer, ActivationRange, fit_ranges
from rlcompress.quantization.weights import QuantizedWeight, fit_scale, integer_weight, keep_codes, largest_code

__all__ = [
    "ActivationQuantizer",
    "ActivationRange",
    "QuantizedWeight",
    "fit_ranges",
    "fit_scale",
    "integer_weight",
    "keep_codes",
    "largest_code",
]
