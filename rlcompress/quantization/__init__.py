"""Quantizers for weights and activations, with ranges of least error."""

from rlcompress.quantization.activations import ActivationQuantizer, ActivationRange, fit_ranges
from rlcompress.quantization.codebooks import fit_codebook, nearest_entry
from rlcompress.quantization.weights import (
    QuantizedWeight,
    Rounding,
    fit_scale,
    integer_weight,
    keep_codes,
    largest_code,
    nearest_integer,
)

__all__ = [
    "ActivationQuantizer",
    "ActivationRange",
    "QuantizedWeight",
    "Rounding",
    "fit_codebook",
    "fit_ranges",
    "fit_scale",
    "integer_weight",
    "keep_codes",
    "largest_code",
    "nearest_entry",
    "nearest_integer",
]
