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
        self._outputs, self._inputs = _Outputs(self), _Inputs(self)

    def kept_channels(self, batch: ChoiceBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Output and input channels that stay in every operator.

        Filters removed from a coupling group shrink every member's outputs and every reader's inputs; the choice
        of the group's first layer decides for all. ``channel`` shrinks the inputs of its own layer only. Both keep
        multiples of the spec's ``round_to``.

        Returns:
            Two arrays [B, S]: kept K and kept C, each at least 1.
        """
        outputs = self.kept_outputs(batch)
        return outputs, self._inputs.kept(outputs, batch)

    def kept_outputs(self, batch: ChoiceBatch) -> NDArray[np.int64]:
        """The first of `kept_channels` alone."""
        return self._outputs.kept(batch)


class _Outputs:
    """Counts the output channels that stay, once for all outputs that lose the same."""

    def __init__(self, structure: NetworkStructure) -> None:
        tensors = [(structure.leader.get(s.coupling or "", None), s.strata, s.round_to) for s in structure.specs]
        distinct = list(dict.fromkeys(tensors))
        width = max(len(strata) for _, strata, _ in distinct)
        self._of = np.array([distinct.index(tensor) for tensor in tensors], np.int64)
        self._leaders = np.array([-1 if leader is None else leader for leader, _, _ in distinct], np.int64)
        self._round_to = np.array([[round_to] for _, _, round_to in distinct], np.int64)
        self._strata = np.array([[*s, *[0] * (width - len(s))] for _, s, _ in distinct], np.int64).T[..., None]

    def kept(self, batch: ChoiceBatch) -> NDArray[np.int64]:
        """[B, S] channels."""
        removal = np.ones((batch.shape[1] + 1, batch.shape[0]))  # the last row for outputs that lose nothing
        removal[:-1] = np.where(batch.granularity == _FILTER, batch.keep_ratio, 1.0).T
        counts = keep_counts(self._strata, removal[self._leaders], self._round_to).sum(axis=0)
        return np.asarray(counts[self._of].T)


class _Inputs:
    """Counts the input channels that stay."""

    def __init__(self, structure: NetworkStructure) -> None:
        specs = structure.specs
        read = [p[:1] if s.kind == "add" else p for s, p in zip(specs, structure.producers, strict=True)]
        nothing, one = len(specs), len(specs) + 1  # further columns, of 0 and 1 channels
        longest = max(1, *map(len, read))
        self._columns = np.array([[*(p or (one,)), *[nothing] * (longest - max(1, len(p)))] for p in read], np.int64).T
        self._layers = structure.layer_index
        self._channels = np.array([spec.in_channels for spec in specs], np.int64)
        self._dense = np.array([sum(specs[i].out_channels for i in p) if p else 1 for p in read], np.int64)
        self._round_to = np.array([specs[i].round_to for i in structure.layer_index], np.int64)

    def kept(self, outputs: NDArray[np.int64], batch: ChoiceBatch) -> NDArray[np.int64]:
        """[B, S] channels where the operators' outputs [B, S] stay."""
        count = np.pad(outputs, [(0, 0), (0, 2)])
        count[:, -1] = 1
        read = count[:, self._columns].sum(axis=1)
        inputs = np.maximum(1, self._channels * read // self._dense)
        channel = batch.granularity == _CHANNEL
        if channel.any():
            own = inputs[:, self._layers]
            inputs[:, self._layers] = np.where(channel, keep_counts(own, batch.keep_ratio, self._round_to), own)
        return np.asarray(inputs)
