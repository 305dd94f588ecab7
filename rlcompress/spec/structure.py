"""`NetworkStructure`: how choices of some layers change the shapes of others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlcompress.errors import NetworkError
from rlcompress.spec.batch import ChoiceBatch
from rlcompress.spec.choice import GRANULARITIES, keep_counts
from rlcompress.spec.layer import LayerSpec

_FILTER = GRANULARITIES.index("filter")
_CHANNEL = GRANULARITIES.index("channel")


class NetworkStructure:
    """Connections and coupling groups of a network's specs, ready for batched use.

    Attributes:
        specs: all S operators in execution order.
        layers: names of the L compressible ones.
        layer_index: [L] their positions among the specs.
        producers: for each spec, the positions of the specs that it reads; empty for the network's input.
        readers: for each spec, the positions of the specs that read its output.
        groups: coupling groups in order of first appearance.
        leader: for each group, the position among the *layers* of its first layer, whose choice decides.

    Raises:
        NetworkError: a name appears twice, or a spec reads one that is unknown or comes later.
    """

    def __init__(self, specs: Sequence[LayerSpec]) -> None:
        self.specs = tuple(specs)
        position = {spec.name: i for i, spec in enumerate(self.specs)}
        if len(position) != len(self.specs):
            raise NetworkError("layer specs: a name appears twice; give every operator its own name")
        self.layer_index = np.array([i for i, spec in enumerate(self.specs) if spec.compressible], np.int64)
        self.layers = tuple(self.specs[i].name for i in self.layer_index)
        self.producers: list[tuple[int, ...]] = []
        self.readers: list[list[int]] = [[] for _ in self.specs]
        for i, spec in enumerate(self.specs):
            for name in spec.inputs:
                if position.get(name, i) >= i:
                    raise NetworkError(f"layer {spec.name!r} reads {name!r}, which does not come before it")
                self.readers[position[name]].append(i)
            self.producers.append(tuple(position[name] for name in spec.inputs))
        self.groups = tuple(dict.fromkeys(s.coupling for s in self.specs if s.coupling is not None))
        self.leader = {
            group: next(
                (j for j, i in enumerate(self.layer_index) if self.specs[i].coupling == group),
                None,
            )
            for group in self.groups
        }

    def kept_channels(self, batch: ChoiceBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Output and input channels that stay in every operator.

        Filters removed from a coupling group shrink every member's outputs and every reader's inputs; the choice
        of the group's first layer decides for all. ``channel`` shrinks the inputs of its own layer only. Both keep
        multiples of the spec's ``round_to``.

        Returns:
            Two arrays [B, S]: kept K and kept C, each at least 1.
        """
        policies = batch.shape[0]
        outputs = np.empty((policies, len(self.specs)), np.int64)
        inputs = np.empty_like(outputs)
        removal = np.where(batch.granularity == _FILTER, batch.keep_ratio, 1.0)
        layer_of = {int(i): j for j, i in enumerate(self.layer_index)}
        for i, spec in enumerate(self.specs):
            inputs[:, i] = self._kept_inputs(i, outputs)
            if i in layer_of:
                channel = batch.granularity[:, layer_of[i]] == _CHANNEL
                ratios = batch.keep_ratio[channel, layer_of[i]]
                inputs[channel, i] = keep_counts(inputs[channel, i], ratios, spec.round_to)
            leader = self.leader.get(spec.coupling or "")
            if leader is None:
                outputs[:, i] = spec.out_channels
            else:
                outputs[:, i] = sum(keep_counts(n, removal[:, leader], spec.round_to) for n in spec.strata)
        return outputs, inputs

    def _kept_inputs(self, i: int, outputs: NDArray[np.int64]) -> NDArray[np.int64] | int:
        spec, producers = self.specs[i], self.producers[i]
        if spec.kind == "add":
            producers = producers[:1]
        if not producers:
            return spec.in_channels
        dense = sum(self.specs[p].out_channels for p in producers)
        kept = outputs[:, list(producers)].sum(axis=1)
        return np.maximum(1, spec.in_channels * kept // dense)
