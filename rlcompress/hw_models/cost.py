"""`LayerCost`, `NetworkCost` and `BatchCost`: what a policy costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from rlcompress.hw_models.figures import LEVELS
from rlcompress.hw_models.work import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """What one operator costs for one image.

    Attributes:
        name: of the operator.
        kind: of the operator.
        shape: (K, C, P, Q, R, S) that stays after channel removal.
        weight_bits: of the weights; of their indices where they are clustered, which run at 8 bits.
        activation_bits: of the inputs as they run through the array.
        input_bits: of the inputs as they are stored.
        output_bits: of the outputs as they are stored.
        weight_density: share of the remaining weights that is not zero.
        input_density: share of nonzero inputs.
        energy_pj: by level, in pJ; of a table of measured costs whole, as ``measured``.
        cycles: from first fill to last drain.
        cycles_by_bound: cycles that the array, the buffers and DRAM each need; empty if measured.
        latency_s: in seconds.
        macs: of the remaining shape, zeros included.
        effectual_macs: whose weight is not zero.
        bops: bit operations, effectual MACs times both widths.
        utilisation: of the array in its compute cycles; None if measured.
        traffic_bits: by operand and level; empty if measured.
        stored_weight_bits: of the weights as they are stored, indices included.
        metadata_bits: indices among the stored weights.
        buffered_bits: peak use of the buffers.
        tiling: schedule and tile sizes, in words.
        confidence: of the description.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    weight_bits: int
    activation_bits: int
    input_bits: int
    output_bits: int
    weight_density: float
    input_density: float
    energy_pj: Mapping[str, float]
    cycles: float
    cycles_by_bound: Mapping[str, float]
    latency_s: float
    macs: float
    effectual_macs: float
    bops: float
    utilisation: float | None
    traffic_bits: Mapping[str, float]
    stored_weight_bits: float
    metadata_bits: float
    buffered_bits: float
    tiling: str
    confidence: str

    @property
    def total_pj(self) -> float:
        """Energy of all levels."""
        return sum(self.energy_pj.values())

    @property
    def traffic_words(self) -> dict[str, float]:
        """DRAM traffic by operand in words of the operand's width (partial sums count by the outputs' width)."""
        widths = {"weights": self.weight_bits, "inputs": self.input_bits, "outputs": self.output_bits}
        named = {f"DRAM {key}": width for key, width in widths.items()}
        return {key: self.traffic_bits[key] / width for key, width in named.items() if key in self.traffic_bits}

    @property
    def bound(self) -> str:
        """What bounds the cycles: compute, GLB or DRAM; nothing is known of measured ones."""
        return max(self.cycles_by_bound, key=lambda key: self.cycles_by_bound[key], default="")


def million_of(energy_unit: str) -> str:
    """What a million of a description's ``energy_unit`` are.

    >>> million_of("pJ"), million_of("MAC")
    ('µJ', 'M MAC')
    """
    return "µJ" if energy_unit == "pJ" else f"M {energy_unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCost:
    """What one inference costs: the sum over its layers.

    Attributes:
        hardware: name of the description.
        clock_mhz: that turns cycles into time.
        energy_unit: ``pJ``, or ``MAC`` where the description's energies are relative to one MAC.
        layers: in execution order, operators without weights included.
    """

    hardware: str
    clock_mhz: float
    energy_unit: str = "pJ"
    layers: tuple[LayerCost, ...]

    @property
    def energy_pj(self) -> dict[str, float]:
        """Energy by level, in pJ."""
        levels = self.layers[0].energy_pj if self.layers else LEVELS
        return {level: sum(layer.energy_pj[level] for layer in self.layers) for level in levels}

    @property
    def unit(self) -> str:
        """What `energy_uj` is in."""
        return million_of(self.energy_unit)

    @property
    def energy_uj(self) -> float:
        """Energy of an inference in microjoules."""
        return sum(layer.total_pj for layer in self.layers) * 1e-6

    @property
    def latency_s(self) -> float:
        """Time of an inference in seconds."""
        return sum(layer.latency_s for layer in self.layers)

    @property
    def latency_ms(self) -> float:
        """Time of an inference in milliseconds."""
        return self.latency_s * 1e3

    @property
    def cycles(self) -> float:
        """Clock cycles of an inference."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def weights_kb(self) -> float:
        """Stored weights, indices included, in kB of 1,024 bytes."""
        return sum(layer.stored_weight_bits for layer in self.layers) / (8 * 1024)

    @property
    def edp_js(self) -> float:
        """Energy-delay product in joule seconds."""
        return self.energy_uj * 1e-6 * self.latency_s

    @property
    def macs(self) -> float:
        """Multiply-accumulates of the remaining shapes."""
        return sum(layer.macs for layer in self.layers)

    @property
    def bops(self) -> float:
        """Bit operations: a target without hardware, for comparison with work that reports it."""
        return sum(layer.bops for layer in self.layers)

    @property
    def traffic_bits(self) -> dict[str, float]:
        """Traffic by operand and level, in bits."""
        keys = self.layers[0].traffic_bits if self.layers else ()
        return {key: sum(layer.traffic_bits[key] for layer in self.layers) for key in keys}


class BatchCost:
    """What B policies of one network with S operators cost.

    Attributes:
        energy_pj: [B] in pJ.
        latency_s: [B] in seconds.
    """

    __slots__ = ("_columns", "energy_pj", "latency_s")

    def __init__(self, energy_pj: Floats, latency_s: Floats, columns: Callable[[int], Floats]) -> None:
        self.energy_pj = energy_pj
        self.latency_s = latency_s
        self._columns = columns

    @property
    def level_pj(self) -> Mapping[str, Floats]:
        """Energy by level, each [B, S] in pJ."""
        return MappingProxyType({level: self._columns(i) for i, level in enumerate(LEVELS)})

    @property
    def layer_pj(self) -> Floats:
        """Energy of every operator, [B, S] in pJ."""
        return np.asarray(np.sum([self._columns(i) for i in range(len(LEVELS))], axis=0))

    @property
    def cycles(self) -> Floats:
        """Cycles of every operator, [B, S]."""
        return self._columns(len(LEVELS))

    @property
    def energy_uj(self) -> Floats:
        """[B] in microjoules."""
        return self.energy_pj * 1e-6

    @property
    def latency_ms(self) -> Floats:
        """[B] in milliseconds."""
        return self.latency_s * 1e3

    @property
    def edp_js(self) -> Floats:
        """[B] energy-delay product in joule seconds."""
        return self.energy_pj * 1e-12 * self.latency_s
