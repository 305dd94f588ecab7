"""`ChoiceBatch`: the choices of many policies as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rlcompress.errors import PolicyError
from rlcompress.spec.choice import CRITERIA, GRANULARITIES, WEIGHT_QUANTIZERS, LayerChoice


@dataclass(frozen=True, slots=True)
class ChoiceBatch:
    """Choices of B policies for the L compressible layers of a network, in execution order.

    Attributes:
        granularity: [B, L] positions in `GRANULARITIES`.
        keep_ratio: [B, L] in (0, 1].
        weight_bits: [B, L].
        activation_bits: [B, L].
        criterion: [B, L] positions in `CRITERIA`; left out, all are ``default``.
        weight_quantizer: [B, L] positions in `WEIGHT_QUANTIZERS`; left out, all are ``uniform``.
    """

    granularity: NDArray[np.int64]
    keep_ratio: NDArray[np.float64]
    weight_bits: NDArray[np.int64]
    activation_bits: NDArray[np.int64]
    criterion: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    weight_quantizer: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def __post_init__(self) -> None:
        for name in ("criterion", "weight_quantizer"):
            if getattr(self, name).size == 0:
                object.__setattr__(self, name, np.zeros_like(self.granularity))
        shapes = {getattr(self, name).shape for name in self.__slots__}
        if len(shapes) != 1 or self.granularity.ndim != 2:
            raise PolicyError(f"choice batch: all arrays must have one shape [B, L], got {sorted(shapes)}")

    @property
    def shape(self) -> tuple[int, int]:
        """(B, L)."""
        policies, layers = self.granularity.shape
        return policies, layers

    def rows(self, which: slice | NDArray[np.intp]) -> Self:
        """Some of the policies; of a slice, views of the arrays."""
        return type(self)(*(getattr(self, name)[which] for name in self.__slots__))

    @classmethod
    def of(cls, policies: Sequence[Mapping[str, LayerChoice]], layers: Sequence[str]) -> Self:
        """Arrays of B mappings (layer name -> choice) in the order of ``layers``.

        Raises:
            PolicyError: a mapping lacks a layer.
        """
        for policy in policies:
            missing = next((name for name in layers if name not in policy), None)
            if missing is not None:
                raise PolicyError(f"policy: layer {missing!r} is missing; add an entry for it")
        rows = [[policy[name] for name in layers] for policy in policies]
        shape = (len(rows), len(layers))
        position = {name: i for i, name in enumerate(GRANULARITIES)}
        criterion = {name: i for i, name in enumerate(CRITERIA)}
        quantizer = {name: i for i, name in enumerate(WEIGHT_QUANTIZERS)}
        return cls(
            granularity=np.array([[position[c.granularity] for c in r] for r in rows], np.int64).reshape(shape),
            keep_ratio=np.array([[c.keep_ratio for c in r] for r in rows], np.float64).reshape(shape),
            weight_bits=np.array([[c.weight_bits for c in r] for r in rows], np.int64).reshape(shape),
            activation_bits=np.array([[c.activation_bits for c in r] for r in rows], np.int64).reshape(shape),
            criterion=np.array([[criterion[c.criterion] for c in r] for r in rows], np.int64).reshape(shape),
            weight_quantizer=np.array([[quantizer[c.weight_quantizer] for c in r] for r in rows], np.int64).reshape(
                shape
            ),
        )

    def choices(self, row: int, layers: Sequence[str]) -> dict[str, LayerChoice]:
        """The choices of policy ``row`` as a mapping from layer name to choice."""
        return {
            name: LayerChoice(
                granularity=GRANULARITIES[self.granularity[row, i]],
                keep_ratio=float(self.keep_ratio[row, i]),
                criterion=CRITERIA[self.criterion[row, i]],
                weight_quantizer=WEIGHT_QUANTIZERS[self.weight_quantizer[row, i]],
                weight_bits=int(self.weight_bits[row, i]),
                activation_bits=int(self.activation_bits[row, i]),
            )
            for i, name in enumerate(layers)
        }
