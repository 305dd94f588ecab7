"""`ChoiceSpace`: the choices that a search may make."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlcompress.errors import RunError
from rlcompress.spec import (
    GRANULARITIES,
    KEEP_RATIO_STEP,
    WEIGHT_QUANTIZERS,
    ChoiceBatch,
    LayerChoice,
    LayerSpec,
    NetworkStructure,
    applies,
    keep_counts,
    offered_keep_ratios,
)

_NONE = GRANULARITIES.index("none")
_FILTER = GRANULARITIES.index("filter")
_UNIFORM, _CLUSTERED = (WEIGHT_QUANTIZERS.index(name) for name in ("uniform", "clustered"))
_STEPS = round(1 / KEEP_RATIO_STEP)


class ChoiceSpace:
    """The grid of choices of every layer, and the ties between layers.

    Coupled layers are pruned by filters together, as the first of them decides. Layers that read one tensor share
    its activation bits, as the first of them decides. The first and the last layer have ``end_bits`` at
    least, and with them the layers that read the same tensors.

    Args:
        structure: the network.
        granularities: names that may be chosen; ``none`` is always among them.
        min_bits: least weight and activation bits.
        max_bits: most weight and activation bits.
        min_keep_ratio: least keep ratio.
        end_bits: least bits of the first and the last layer, even where it is more than ``max_bits``.
        index_bits: weights of at most so many bits are clustered; 0 for none.

    Raises:
        RunError: an unknown granularity, bits outside 2 to 8, or a keep ratio outside (0, 1].
    """

    def __init__(
        self,
        structure: NetworkStructure,
        *,
        granularities: Sequence[str] = ("none", "element", "filter"),
        min_bits: int = 2,
        max_bits: int = 8,
        min_keep_ratio: float = 0.1,
        end_bits: int = 4,
        index_bits: int = 0,
    ) -> None:
        unknown = [name for name in granularities if name not in GRANULARITIES]
        if unknown:
            raise RunError(f"unknown granularity {unknown[0]!r}; choose from {', '.join(GRANULARITIES)}")
        if not 2 <= min_bits <= max_bits <= 8:
            raise RunError(f"bits must satisfy 2 <= min <= max <= 8, got {min_bits} and {max_bits}")
        if not 2 <= end_bits <= 8:
            raise RunError(f"least bits of the first and the last layer must be 2 to 8, got {end_bits}")
        if not 0.0 < min_keep_ratio <= 1.0:
            raise RunError(f"least keep ratio must be above 0 and at most 1, got {min_keep_ratio}")
        self.structure = structure
        self.granularities = tuple(name for name in GRANULARITIES if name == "none" or name in granularities)
        self.min_bits, self.max_bits, self.min_keep_ratio = min_bits, max_bits, min_keep_ratio
        self.end_bits, self.index_bits = end_bits, index_bits
        self.layers: tuple[LayerSpec, ...] = tuple(structure.specs[i] for i in structure.layer_index)
        self.leader = np.array(
            [i if s.coupling is None else structure.leader[s.coupling] for i, s in enumerate(self.layers)], np.int64
        )
        """[L] position of the layer that decides on filter pruning."""
        self.reader = self._first_readers()
        """[L] position of the layer that decides on the activation bits."""
        self.ends = np.array(sorted({0, len(self.layers) - 1}), np.int64)
        self.keep_ratios = np.arange(1, round(1 / KEEP_RATIO_STEP) + 1) * KEEP_RATIO_STEP
        self.keep_ratios = self.keep_ratios[self.keep_ratios >= min_keep_ratio - 1e-9].round(10)
        self._nearest = np.array([self._nearest_ratios(i) for i in range(len(self.layers))])
        """[L, granularity, keep ratio / step] the keep ratio that stands for another; 1 where nothing may go."""

    def _first_readers(self) -> NDArray[np.int64]:
        first: dict[tuple[str, ...], int] = {}
        return np.array([first.setdefault(spec.inputs, i) for i, spec in enumerate(self.layers)], np.int64)

    def uniform(self, bits: int, policies: int = 1) -> ChoiceBatch:
        """Policies without pruning and with equal bits everywhere, the ends included."""
        shape = (policies, len(self.layers))
        widths = np.full(shape, bits, np.int64)
        return ChoiceBatch(np.full(shape, _NONE, np.int64), np.ones(shape), widths, widths.copy())

    def snapped(self, batch: ChoiceBatch) -> ChoiceBatch:
        """The nearest policies that the grid and the ties allow.

        A granularity that a layer cannot have, or a keep ratio to which 1 is nearest, becomes ``none``. The criterion
        of what is removed stays.
        The weights' quantizer follows from their width.
        """
        steps = (batch.keep_ratio / KEEP_RATIO_STEP).round().clip(0, _STEPS).astype(np.int64)
        keep = self._nearest[np.arange(len(self.layers)), batch.granularity, steps]
        removal = np.where(batch.granularity == _FILTER, keep, 1.0)[:, self.leader]
        keep = np.where(removal < 1.0, removal, np.where(batch.granularity == _FILTER, 1.0, keep))
        granularity = np.where(removal < 1.0, _FILTER, np.where(keep == 1.0, _NONE, batch.granularity))
        criterion = np.where(removal < 1.0, batch.criterion[:, self.leader], batch.criterion)
        criterion = np.where(granularity == _NONE, 0, criterion)
        weight_bits = batch.weight_bits.clip(self.min_bits, self.max_bits)
        activation_bits = batch.activation_bits.clip(self.min_bits, self.max_bits)
        for bits, ends in ((weight_bits, self.ends), (activation_bits, self.reader[self.ends])):
            bits[:, ends] = bits[:, ends].clip(self.end_bits)
        quantizer = np.where(weight_bits <= self.index_bits, _CLUSTERED, _UNIFORM)
        return ChoiceBatch(granularity, keep, weight_bits, activation_bits[:, self.reader], criterion, quantizer)

    def narrow_weights(self, bits: int) -> LayerChoice:
        """A dense layer whose weights alone have so many bits."""
        quantizer = "clustered" if bits <= self.index_bits else "uniform"
        return LayerChoice(weight_bits=bits, weight_quantizer=quantizer)

    def _nearest_ratios(self, layer: int) -> NDArray[np.float64]:
        nearest = np.ones((len(GRANULARITIES), _STEPS + 1))
        for name in self.allowed(layer):
            offered = np.array([*self._ratios_of(layer, name), 1.0])
            distance = np.abs(np.arange(_STEPS + 1)[:, None] - offered / KEEP_RATIO_STEP)
            nearest[GRANULARITIES.index(name)] = offered[distance.round(6).argmin(axis=1)]
        return nearest

    def allowed(self, layer: int) -> tuple[str, ...]:
        """Granularities that a layer may have on its own or as its group's first layer."""
        names = (name for name in self.granularities if applies(name, self.layers[layer]))
        return tuple(name for name in names if name == "none" or self._ratios_of(layer, name))

    @property
    def fixed(self) -> bool:
        """Whether there is but one policy."""
        return self.min_bits == self.max_bits and all(len(self.allowed(i)) == 1 for i in range(len(self.layers)))

    def ratios(self, granularity: str) -> list[float]:
        """Keep ratios below 1 that a granularity offers, ascending; none for ``none``."""
        return offered_keep_ratios(granularity, self.keep_ratios.tolist())

    def _ratios_of(self, layer: int, granularity: str) -> list[float]:
        """`ratios` that differ in what the layer keeps: of those that round to equal channels, the nearest to that."""
        ratios, spec = self.ratios(granularity), self.layers[layer]
        strata = {"filter": spec.strata, "channel": (spec.in_channels,)}.get(granularity)
        if strata is None or spec.round_to == 1:
            return ratios
        counts = np.sum([keep_counts(n, ratios, spec.round_to) for n in strata], axis=0)
        nearest: dict[int, float] = {}
        for count, ratio in zip(counts.tolist(), ratios, strict=True):
            share = count / sum(strata)
            if share < 1.0 and abs(ratio - share) < abs(nearest.get(count, 2.0) - share):
                nearest[count] = ratio
        return list(nearest.values())

    def options(self, layer: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Granularity and keep ratio of every pruning that a layer may decide on, dense first: [O], [O]."""
        pairs = [(_NONE, 1.0)]
        for name in self.allowed(layer):
            if name != "filter" or self.leader[layer] == layer:
                pairs += [(GRANULARITIES.index(name), ratio) for ratio in self._ratios_of(layer, name)]
        return np.array([g for g, _ in pairs], np.int64), np.array([r for _, r in pairs])
