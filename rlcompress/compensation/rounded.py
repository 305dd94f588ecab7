"""`RoundedLayer`: a layer's codes, and what may become of them."""

from dataclasses import dataclass

from torch import Tensor

from rlcompress.quantization import QuantizedWeight


@dataclass(frozen=True, slots=True)
class RoundedLayer:
    """What a further fit of one layer starts from.

    Attributes:
        weight: codes and scales.
        kept: boolean of the weight's shape, False where the code stays 0.
        limit: largest code.
    """

    weight: QuantizedWeight
    kept: Tensor
    limit: int
