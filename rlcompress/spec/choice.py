"""`LayerChoice`: what is done to one layer."""

from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.config import JsonDict

from rlcompress.errors import PolicyError, first_problem

Granularity = Literal["none", "element", "n:m", "block", "pattern", "kernel", "channel", "filter"]

GRANULARITIES: tuple[str, ...] = get_args(Granularity)
"""From fine to coarse. A granularity's number in arrays is its position here."""

Criterion = Literal["default", "l1", "l2", "activation", "obs", "reconstruction", "bernoulli", "redundancy", "blended"]

CRITERIA: tuple[str, ...] = get_args(Criterion)
"""Names in `rlcompress.pruning.CRITERIA`, after ``default``: that of whoever compresses. A criterion's number in
arrays is its position here."""

WeightQuantizer = Literal["uniform", "clustered"]

WEIGHT_QUANTIZERS: tuple[str, ...] = get_args(WeightQuantizer)
"""What values weights may take: ``uniform``, the multiples of a step; ``clustered``, the 2^b entries of a codebook that
the layer's weights share and are stored as indices of (Han et al., "Deep Compression", ICLR 2016). A quantizer's number
in arrays is its position here."""

ENTRY_BITS = 8
"""Width of a codebook's entries, at which clustered weights are computed with."""

KEEP_RATIO_STEP = 0.05
"""Keep ratios lie on multiples of this step."""

REFERENCE_BITS = 16
"""Width of the reference baseline; a searched layer has 2 to 8 bits."""

_BITS_SCHEMA: JsonDict = {"enum": [*range(2, 9), REFERENCE_BITS]}

_CONSISTENT_SCHEMA: JsonDict = {
    "dependentSchemas": {
        "weight_quantizer": {
            "if": {"properties": {"weight_quantizer": {"const": "clustered"}}},
            "then": {"properties": {"weight_bits": {"exclusiveMaximum": ENTRY_BITS}}, "required": ["weight_bits"]},
        }
    },
    "if": {"properties": {"granularity": {"const": "none"}}},
    "then": {"properties": {"keep_ratio": {"const": 1}}},
    "else": {"properties": {"keep_ratio": {"exclusiveMaximum": 1}}, "required": ["keep_ratio"]},
}


def keep_counts(counts: ArrayLike, keep_ratios: ArrayLike, round_to: ArrayLike = 1) -> NDArray[np.int64]:
    """How many things stay at keep ratios, elementwise: the one rule that masks, costs and thinned networks follow.

    Args:
        counts: how many there are.
        keep_ratios: in (0, 1]; all stay at 1.
        round_to: what stays is a multiple of it, the nearest (half up), at least once; or everything, where that is
            less.
    """
    counts, keep_ratios = np.asarray(counts), np.asarray(keep_ratios)
    nearest = np.floor(counts * keep_ratios / round_to + 0.5) * round_to
    return np.where(keep_ratios < 1.0, np.minimum(np.maximum(nearest, round_to), counts), counts).astype(np.int64)


def keep_count(count: int, keep_ratio: float, round_to: int = 1) -> int:
    """`keep_counts` of one number.

    >>> keep_count(64, 0.4), keep_count(64, 0.4, round_to=8), keep_count(6, 0.4, round_to=8)
    (26, 24, 6)
    """
    return int(keep_counts(count, keep_ratio, round_to))


class LayerChoice(BaseModel):
    """Pruning granularity, keep ratio and bit-widths of one layer.

    Attributes:
        granularity: the pattern in which weights are removed, one of `GRANULARITIES`.
        keep_ratio: share of the weights (or channels) that stays, above 0 and at most 1; 1 if and only if the
            granularity is ``none``.
        criterion: what decides which of them go, one of `CRITERIA`.
        weight_bits: 2 to 8 (2 is ternary), or 16 for the reference baseline.
        activation_bits: bits of the layer's input activations, 2 to 8, or 16 for the reference baseline.
        weight_quantizer: one of `WEIGHT_QUANTIZERS`; ``clustered`` weights have indices of ``weight_bits``, 2 to 7.

    Raises:
        PolicyError: a value is of the wrong type or out of its range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_CONSISTENT_SCHEMA)

    granularity: Granularity = "none"
    keep_ratio: float = Field(default=1.0, strict=True, gt=0.0, le=1.0, allow_inf_nan=False)
    criterion: Criterion = "default"
    weight_bits: int = Field(default=8, strict=True, ge=2, le=REFERENCE_BITS, json_schema_extra=_BITS_SCHEMA)
    activation_bits: int = Field(default=8, strict=True, ge=2, le=REFERENCE_BITS, json_schema_extra=_BITS_SCHEMA)
    weight_quantizer: WeightQuantizer = "uniform"

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            label = f"layer {str(values['name'])[:60]!r}" if "name" in values else "layer choice"
            raise PolicyError(f"{label}: {first_problem(error)}") from None

    @property
    def operand_bits(self) -> int:
        """Width at which the weights are computed with: that of a codebook's entries where they are clustered."""
        return ENTRY_BITS if self.weight_quantizer == "clustered" else self.weight_bits

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key in ("weight_bits", "activation_bits"):
            if 8 < getattr(self, key) != REFERENCE_BITS:
                raise ValueError(f"{key} must be 2 to 8, or {REFERENCE_BITS}, got {getattr(self, key)}")
        if self.weight_quantizer == "clustered" and self.weight_bits >= ENTRY_BITS:
            raise ValueError(
                f"clustered weights are indices of 2 to {ENTRY_BITS - 1} bits: set weight_bits to that or "
                f"weight_quantizer to 'uniform', got {self.weight_bits} bits"
            )
        if self.granularity == "none" and self.keep_ratio != 1.0:
            raise ValueError(f"granularity 'none' keeps everything: set keep_ratio to 1, got {self.keep_ratio}")
        if self.granularity != "none" and self.keep_ratio == 1.0:
            raise ValueError(f"keep_ratio 1 removes nothing: set granularity to 'none', got {self.granularity!r}")
        return self
