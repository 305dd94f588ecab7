"""`PreparedNetwork`: turns choices of a network's layers into `Work`."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rlcompress.hw_models.parts import Residency
from rlcompress.hw_models.work import ADD, COARSE, KILOBYTE_BITS, POOL, Floats, Work, static_arrays
from rlcompress.spec import KINDS, ChoiceBatch, LayerSpec, NetworkStructure

OUTPUT_BITS = 8
"""Width of the network's outputs."""


class PreparedNetwork:
    """A network's structure with what the costs of its policies share.

    Attributes:
        structure: connections and coupling groups.
        specs: all S operators in execution order.
    """

    def __init__(self, structure: NetworkStructure) -> None:
        self.structure = structure
        self.specs = structure.specs
        self._static = static_arrays(self.specs)
        self._kind = np.array([KINDS.index(spec.kind) for spec in self.specs])
        self._layer_of = {int(i): j for j, i in enumerate(structure.layer_index)}
        self._reading = [self._reading_layers(i) for i in range(len(self.specs))]
        self._fused = np.array([self._is_fused(i) for i in range(len(self.specs))])
        self._live: dict[int, Floats] = {}
        self._joins = self._first_joins()
        window = self._static["R"] * self._static["S"]
        self._window = np.where(np.isin(self._kind, (POOL, ADD)), 0.0, window)[:, None]
        self._output_density = np.array([self._read_density(i) for i in range(len(self.specs))])

    def work(self, batch: ChoiceBatch, room: Residency, *, fuse: bool = True) -> Work:
        """The work of B policies as S * B instances, operator by operator.

        Args:
            batch: the choices of the compressible layers.
            room: for what stays on chip.
            fuse: whether a pool or add works on its producer's tile.
        """
        policies = batch.shape[0]
        kept = self.structure.kept_channels(batch)
        K, C = (array.T.astype(np.float64) for array in kept)
        stored = self._stored_bits(batch)
        weight_bits, activation_bits, granularity, density = self._choices(batch, stored)
        input_bits = self._input_bits(stored, activation_bits)
        on_chip = self._on_chip(K, stored, room, fuse=fuse)
        ones = np.ones((1, policies))
        hidden = np.concatenate([[False], self._fused[:-1]]) & fuse
        arrays = {name: (values[:, None] * ones).ravel() for name, values in self._static.items()}
        G = self._groups(K, C)
        bits = K * np.ceil(C / G) * self._window * weight_bits * density
        work = Work(
            kind=np.repeat(self._kind, policies),
            K=K.ravel(),
            C=C.ravel(),
            G=G.ravel(),
            weight_bits=weight_bits.ravel(),
            activation_bits=activation_bits.ravel(),
            input_bits=input_bits.ravel(),
            output_bits=stored.ravel(),
            granularity=granularity.ravel(),
            density=density.ravel(),
            input_off_chip=self._input_off_chip(on_chip).ravel(),
            output_density=np.repeat(self._output_density, policies),
            weights_off_chip=_beyond(bits, room.weights_kb * KILOBYTE_BITS).ravel(),
            output_off_chip=1.0 - on_chip.ravel(),
            first=np.repeat(np.array([not p for p in self.structure.producers]), policies),
            joins=np.repeat(self._joins, policies),
            hidden=np.repeat(hidden, policies),
            hidden_bits=np.zeros(K.size),
            **arrays,
        )
        return replace(work, hidden_bits=self._hidden_bits(work, hidden))

    def _hidden_bits(self, work: Work, hidden: NDArray[np.bool_]) -> Floats:
        """DRAM traffic of what works on an operator's tiles, chains of them included."""
        bits = (
            work.inputs * work.input_bits * work.input_off_chip + work.outputs * work.output_bits * work.output_off_chip
        )
        bits = bits.reshape(len(self.specs), -1)
        behind = np.zeros_like(bits)
        for i in range(len(self.specs) - 2, -1, -1):
            if hidden[i + 1]:
                behind[i] = bits[i + 1] + behind[i + 1]
        return behind.ravel()

    def _reading_layers(self, i: int) -> tuple[list[int], bool]:
        """Layers that read operator ``i``'s output, through pool, add and matmul; whether it is a network output."""
        layers, is_output = [], not self.structure.readers[i]
        for reader in self.structure.readers[i]:
            if reader in self._layer_of:
                layers.append(self._layer_of[reader])
            else:
                more, last = self._reading_layers(reader)
                layers += more
                is_output |= last
        return sorted(set(layers)), is_output

    def _first_joins(self) -> NDArray[np.bool_]:
        """[S] whether an operator is the first to read several outputs as one."""
        read: set[tuple[int, ...]] = set()
        joins = []
        for producers, spec in zip(self.structure.producers, self.specs, strict=True):
            joins.append(len(producers) > 1 and spec.kind != "add" and producers not in read)
            read.add(producers)
        return np.array(joins)

    def _read_density(self, i: int) -> float:
        """Share of nonzero outputs, as their readers were profiled."""
        readers = self.structure.readers[i]
        return float(np.mean([self.specs[reader].input_density for reader in readers])) if readers else 1.0

    def _is_fused(self, i: int) -> bool:
        """Whether the output goes straight into the pool or add that follows, tile by tile."""
        readers = self.structure.readers[i]
        return readers == [i + 1] and self.specs[i + 1].kind in ("pool", "add")

    def _liveness(self, span: int) -> Floats:
        """[S steps, S tensors]: 1 where a tensor is live that may stay on chip."""
        live = np.zeros((len(self.specs),) * 2)
        for i, readers in enumerate(self.structure.readers):
            if readers and not self._fused[i] and max(readers) - i <= span:
                live[i : max(readers) + 1, i] = 1
        return live

    def _stored_bits(self, batch: ChoiceBatch) -> Floats:
        """[S, B] width of every output: the widest of its readers."""
        bits = batch.activation_bits.T.astype(np.float64)
        stored = np.empty((len(self.specs), bits.shape[1]))
        for i, (layers, is_output) in enumerate(self._reading):
            stored[i] = OUTPUT_BITS if is_output else 0
            for layer in layers:
                np.maximum(stored[i], bits[layer], out=stored[i])
        return stored

    def _choices(self, batch: ChoiceBatch, stored: Floats) -> tuple[Floats, Floats, NDArray[np.int64], Floats]:
        """[S, B] weight bits, activation bits, granularity, density; without choice, an output's width."""
        weight_bits, activation_bits = stored.copy(), stored.copy()
        granularity = np.zeros(stored.shape, np.int64)
        density = np.ones_like(stored)
        rows = self.structure.layer_index
        weight_bits[rows] = batch.weight_bits.T
        activation_bits[rows] = batch.activation_bits.T
        granularity[rows] = batch.granularity.T
        density[rows] = np.where(np.isin(batch.granularity, COARSE), 1.0, batch.keep_ratio).T
        return weight_bits, activation_bits, granularity, density

    def _input_bits(self, stored: Floats, activation_bits: Floats) -> Floats:
        """[S, B] width at which the input is stored."""
        bits = activation_bits.copy()
        for i, producers in enumerate(self.structure.producers):
            if producers:
                bits[i] = stored[list(producers)].max(axis=0)
        return bits

    def _groups(self, K: Floats, C: Floats) -> Floats:
        groups = np.array([spec.groups for spec in self.specs], np.float64)[:, None]
        depthwise = np.array([spec.kind == "depthwise" for spec in self.specs])[:, None]
        return np.where(depthwise, np.minimum(K, C), np.minimum(np.minimum(K, C), groups))

    def _on_chip(self, K: Floats, stored: Floats, room: Residency, *, fuse: bool) -> Floats:
        """[S, B] 1 where an output never leaves the chip."""
        pixels = (self._static["P"] * self._static["Q"])[:, None]
        if room.span not in self._live:
            self._live[room.span] = self._liveness(room.span)
        live = self._live[room.span]
        full = (live @ (K * pixels * stored)) > room.kb * KILOBYTE_BITS
        fits = (live.T @ full == 0) & (live.max(axis=0) > 0)[:, None]
        return np.asarray(fits | (self._fused[:, None] & fuse), np.float64)

    def _input_off_chip(self, on_chip: Floats) -> Floats:
        """[S, B] share of every operator's input that is read from DRAM."""
        share = np.ones_like(on_chip)
        for i, producers in enumerate(self.structure.producers):
            if producers:
                sizes = np.array([self.specs[p].output_elements for p in producers], np.float64)
                share[i] = sizes @ (1.0 - on_chip[list(producers)]) / sizes.sum()
        return share


def _beyond(bits: Floats, room: float) -> Floats:
    """[S, B] share of each operator's weights that comes after the first ``room`` bits in execution order."""
    if room == 0:
        return np.ones_like(bits)
    total = np.cumsum(bits, axis=0)
    return np.clip((total - room) / np.maximum(bits, 1.0), 0.0, 1.0)


def prepare(specs: Sequence[LayerSpec] | NetworkStructure) -> PreparedNetwork:
    """Prepare a network for costing."""
    return PreparedNetwork(specs if isinstance(specs, NetworkStructure) else NetworkStructure(specs))
