"""`HardwareModel`: energy and latency of compressed networks on a described accelerator."""

from collections.abc import Mapping, Sequence

import numpy as np

from rlcompress.errors import HardwareError
from rlcompress.hw_models.cost import BatchCost, LayerCost, NetworkCost
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.engine import evaluate
from rlcompress.hw_models.figures import LEVELS, Figures
from rlcompress.hw_models.network import PreparedNetwork, prepare
from rlcompress.hw_models.tiling import SCHEDULES
from rlcompress.hw_models.work import Floats, Work
from rlcompress.spec import ChoiceBatch, CompressionPolicy, LayerChoice, LayerSpec, NetworkStructure

Specs = Sequence[LayerSpec] | NetworkStructure


class HardwareModel:
    """Costs of networks on one accelerator.

    Attributes:
        description: the accelerator, validated.
    """

    def __init__(self, description: Description) -> None:
        self.description = description
        self._prepared: dict[int, tuple[object, PreparedNetwork]] = {}

    @property
    def name(self) -> str:
        """Name of the description."""
        return self.description.name

    def cost(self, specs: Specs, policy: CompressionPolicy | Mapping[str, LayerChoice]) -> NetworkCost:
        """What one inference under a policy costs, layer by layer.

        Raises:
            HardwareError: the accelerator cannot run a layer, or not at the chosen width.
            PolicyError: a layer has no choice.
        """
        network = self._prepare(specs)
        choices = policy.choices if isinstance(policy, CompressionPolicy) else policy
        work = self._work(network, ChoiceBatch.of([choices], network.structure.layers))
        return self._network_cost(network, work, evaluate(work, self.description))

    def costs(self, specs: Specs, batch: ChoiceBatch) -> BatchCost:
        """What B policies cost, as arrays.

        Raises:
            HardwareError: the accelerator cannot run a layer, or not at a chosen width.
        """
        network = self._prepare(specs)
        figures = evaluate(self._work(network, batch), self.description)
        shape = (len(network.specs), batch.shape[0])
        table = np.concatenate([figures.energy_pj, figures.cycles[None]]).reshape(-1, *shape)

        def columns(i: int) -> Floats:
            return np.asarray(table[i].T)

        energy = table[: len(LEVELS)].sum(axis=(0, 1))
        return BatchCost(energy, table[len(LEVELS)].sum(axis=0) * self._seconds, columns)

    @property
    def _seconds(self) -> float:
        return 1e-6 / self.description.clock_mhz

    def _prepare(self, specs: Specs) -> PreparedNetwork:
        if id(specs) in self._prepared:
            return self._prepared[id(specs)][1]
        network = prepare(specs)
        for spec in network.specs:
            if spec.kind not in self.description.kinds:
                raise HardwareError(
                    f"{self.name}: kinds: cannot run layer {spec.name!r} of kind {spec.kind!r}; "
                    f"it runs {', '.join(self.description.kinds)}"
                )
        if isinstance(specs, NetworkStructure | tuple):
            self._prepared = {id(specs): (specs, network), **dict(list(self._prepared.items())[:7])}
        return network

    def _work(self, network: PreparedNetwork, batch: ChoiceBatch) -> Work:
        for key in ("weight", "activation"):
            used, most = int(getattr(batch, f"{key}_bits").max(initial=2)), max(getattr(self.description.bits, key))
            if used > most:
                raise HardwareError(f"{self.name}: bits.{key}: runs at most {most} bits, the policy asks for {used}")
        return network.work(batch, self.description.residency, fuse=self.description.fuse)

    def _network_cost(self, network: PreparedNetwork, work: Work, figures: Figures) -> NetworkCost:
        layers = tuple(self._layer_cost(spec, i, work, figures) for i, spec in enumerate(network.specs))
        return NetworkCost(hardware=self.name, clock_mhz=self.description.clock_mhz, layers=layers)

    def _layer_cost(self, spec: LayerSpec, i: int, work: Work, figures: Figures) -> LayerCost:
        bits = (int(work.weight_bits[i]), int(work.activation_bits[i]))
        return LayerCost(
            name=spec.name,
            kind=spec.kind,
            shape=tuple(int(getattr(work, letter)[i]) for letter in "KCPQRS"),
            weight_bits=bits[0],
            activation_bits=bits[1],
            weight_density=float(work.density[i]),
            input_density=float(work.input_density[i]),
            energy_pj={level: float(figures.energy_pj[j, i]) for j, level in enumerate(LEVELS)},
            cycles=float(figures.cycles[i]),
            cycles_by_bound={
                "compute": float(figures.compute_cycles[i]),
                "GLB": float(figures.glb_cycles[i]),
                "DRAM": float(figures.dram_cycles[i]),
            },
            latency_s=float(figures.cycles[i]) * self._seconds,
            macs=float(figures.macs[i]),
            effectual_macs=float(figures.effectual_macs[i]),
            bops=float(figures.effectual_macs[i]) * bits[0] * bits[1],
            utilisation=float(figures.utilisation[i]),
            traffic_bits={
                "DRAM weights": float(figures.dram_weights_bits[i]),
                "DRAM inputs": float(figures.dram_inputs_bits[i]),
                "DRAM outputs": float(figures.dram_outputs_bits[i]),
                "GLB": float(figures.glb_bits[i]),
            },
            metadata_bits=float(figures.metadata_bits[i]),
            buffered_bits=float(figures.buffered_bits[i]),
            tiling=_tiling_in_words(figures, i),
            confidence=self.description.confidence,
        )


def _tiling_in_words(figures: Figures, i: int) -> str:
    if figures.schedule[i] < 0:
        return ""
    tiles = f"K {figures.k_tile[i]:.0f}, C {figures.c_tile[i]:.0f}, pixels {figures.x_tile[i]:.0f}^2"
    return f"{SCHEDULES[int(figures.schedule[i])]}; {tiles}"
