"""`PreparedNetwork`: turns choices of a network's layers into `Work`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rlcompress.hw_models import graph
from rlcompress.hw_models.lists import columns, largest
from rlcompress.hw_models.parts import Residency
from rlcompress.hw_models.use import run_width
from rlcompress.hw_models.work import CLUSTERED, COARSE, KILOBYTE_BITS, Floats, Work, static_arrays
from rlcompress.spec import (
    ENTRY_BITS,
    KINDS,
    ChoiceBatch,
    CompressionPolicy,
    LayerChoice,
    LayerSpec,
    NetworkStructure,
    rounded_to,
)

Specs = Sequence[LayerSpec] | NetworkStructure
Policy = CompressionPolicy | Mapping[str, LayerChoice]

_Number = TypeVar("_Number", bound=np.generic)

OUTPUT_BITS = 8
"""Width of the network's outputs, and of layers that no policy changes."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an accelerator decides about a network's tensors.

    Attributes:
        residency: room for what stays on chip.
        fuse: whether a pool or add works on its producer's tile.
        weight_words: widths in which weights are stored, or None for any.
        activation_words: the same for activations.
        index_words: widths in which indices of clustered weights are stored; none for any.
    """

    residency: Residency
    fuse: bool = True
    weight_words: tuple[int, ...] | None = None
    activation_words: tuple[int, ...] | None = None
    index_words: tuple[int, ...] = ()


class PreparedNetwork:
    """A network's structure with what the costs of its policies share.

    Attributes:
        structure: connections and coupling groups.
        specs: all S operators in execution order.
        producers: of each operator, as `rlcompress.hw_models.lists.columns` gives them.
        fused: [S] whether the output goes straight into the pool or add that follows.
    """

    def __init__(self, structure: NetworkStructure) -> None:
        self.structure = structure
        self.specs = structure.specs
        self.producers = columns(structure.producers, len(self.specs))
        self.fused = graph.fused_outputs(structure)
        self._static = static_arrays(self.specs)
        self._kind = np.array([KINDS.index(spec.kind) for spec in self.specs])
        self._fixed = np.array([spec.fixed for spec in self.specs])
        self._depthwise = np.array([[spec.kind == "depthwise"] for spec in self.specs])
        self._groups = np.array([[float(spec.groups)] for spec in self.specs])
        self._joins = graph.first_joins(structure)
        self._shares = graph.input_shares(structure)
        self._output_density = graph.output_densities(structure)
        self._second = graph.second_operands(structure)
        self._first = np.array([not producers for producers in structure.producers])
        self._last: dict[int, NDArray[np.int64]] = {}
        nothing = len(structure.layers)
        readers = [(*layers, nothing) if at_8_bits else layers for layers, at_8_bits in graph.reading_layers(structure)]
        self._readers = columns(readers, nothing)

    @property
    def pixels(self) -> Floats:
        """[S, 1] output pixels."""
        return np.asarray(self._static["P"] * self._static["Q"])[:, None]

    def staying(self, sizes: Floats, residency: Residency) -> NDArray[np.bool_]:
        """[S, B] where an output of ``sizes`` bits stays on chip between operators."""
        span = residency.span
        if span not in self._last:
            self._last[span] = graph.last_steps(self.structure, self.fused, span)
        return graph.staying(sizes, self._last[span], residency.kb * KILOBYTE_BITS)

    def hidden(self, rules: Rules) -> NDArray[np.bool_]:
        """[S] whether an operator works on its producer's tiles."""
        return np.concatenate([[False], self.fused[:-1]]) & rules.fuse

    def work(self, batch: ChoiceBatch, rules: Rules) -> Work:
        """The work of B policies as S * B instances, operator by operator."""
        policies = batch.shape[0]
        K, C = (array.T.astype(np.float64) for array in self.structure.kept_channels(batch))
        stored = self.stored_bits(batch.activation_bits.T, rules)
        chosen = self._choices(batch, stored, rules)
        on_chip = self.on_chip(K, stored, rules)
        hidden = self.hidden(rules)
        arrays: dict[str, Any] = {name: np.repeat(values, policies) for name, values in self._static.items()}
        K = np.where(self._depthwise, np.minimum(K, C), K)  # an output without its input is a constant
        G = np.where(self._depthwise, K, np.minimum(np.minimum(K, C), self._groups))
        work = Work(
            kind=np.repeat(self._kind, policies),
            K=K.ravel(),
            C=C.ravel(),
            G=G.ravel(),
            **{name: values.ravel() for name, values in chosen.items()},
            input_bits=np.where(self._first[:, None], chosen["activation_bits"], self.widest_input(stored)).ravel(),
            output_bits=stored.ravel(),
            input_off_chip=np.where(self._first[:, None], 1.0, self._shares @ (1.0 - on_chip)).ravel(),
            output_density=np.repeat(self._output_density, policies),
            weights_off_chip=np.ones(K.size),
            output_off_chip=1.0 - on_chip.ravel(),
            first=np.repeat(self._first, policies),
            joins=np.repeat(self._joins, policies),
            hidden=np.repeat(hidden, policies),
            hidden_bits=np.zeros(K.size),
            **arrays,
        )
        weights = work.weights * work.stored_width * work.density + work.codebook_bits
        beyond = _beyond(weights.reshape(K.shape), rules.residency)
        matmul = self._second >= 0
        beyond[matmul] = 1.0 - on_chip[self._second[matmul]]
        return replace(work, weights_off_chip=beyond.ravel(), hidden_bits=_hidden_bits(work, hidden))

    def stored_bits(self, activation_bits: NDArray[np.generic], rules: Rules) -> Floats:
        """[S, B] width of every output: the widest of its readers."""
        stored = self.widest_reader(activation_bits.astype(np.float64))
        return stored if rules.activation_words is None else run_width(stored, rules.activation_words)

    def widest_reader(self, activation_bits: NDArray[_Number]) -> NDArray[_Number]:
        """[S, B] the most bits of an output's readers, of layers' activation bits [L, B]."""
        return largest(activation_bits, self._readers, OUTPUT_BITS)

    def widest_input(self, stored: NDArray[_Number]) -> NDArray[_Number]:
        """[S, B] the most bits of what an operator reads, of those of every output [S, B]; 0 where it reads none."""
        return largest(stored, self.producers, 0)

    def on_chip(self, K: Floats, stored: Floats, rules: Rules) -> Floats:
        """[S, B] 1 where an output never leaves the chip."""
        fits = np.zeros(stored.shape, bool)
        if rules.residency.kb > 0:
            fits = self.staying(K * self.pixels * stored, rules.residency)
        return np.asarray(fits | (self.fused[:, None] & rules.fuse), np.float64)

    def _choices(self, batch: ChoiceBatch, stored: Floats, rules: Rules) -> dict[str, Any]:
        """[S, B] widths, granularity and density; an operator without weights runs at its output's width."""
        weight_bits, activation_bits = stored.copy(), stored.copy()
        weight_bits[self._fixed] = activation_bits[self._fixed] = OUTPUT_BITS
        granularity = np.zeros(stored.shape, np.int64)
        density = np.ones_like(stored)
        rows = self.structure.layer_index
        weight_bits[rows] = batch.weight_bits.T
        activation_bits[rows] = batch.activation_bits.T
        granularity[rows] = batch.granularity.T
        density[rows] = np.where(np.isin(batch.granularity, COARSE), 1.0, batch.keep_ratio).T
        if rules.weight_words and rules.activation_words:
            weight_bits = run_width(weight_bits, rules.weight_words)
            activation_bits = run_width(activation_bits, rules.activation_words)
        chosen = {"weight_bits": weight_bits, "stored_width": weight_bits, "codebook_bits": np.zeros_like(stored)}
        if batch.weight_quantizer.any():
            chosen = self._clustered(batch, weight_bits, rules)
        return {**chosen, "activation_bits": activation_bits, "granularity": granularity, "density": density}

    def _clustered(self, batch: ChoiceBatch, weight_bits: Floats, rules: Rules) -> dict[str, Floats]:
        """[S, B] widths at which weights run and are stored, and bits of codebooks."""
        clustered, index = np.zeros(weight_bits.shape, bool), np.zeros_like(weight_bits)
        rows = self.structure.layer_index
        clustered[rows], index[rows] = batch.weight_quantizer.T == CLUSTERED, batch.weight_bits.T
        width = run_width(index, rules.index_words) if rules.index_words else index
        entry = run_width(np.array(ENTRY_BITS), rules.weight_words) if rules.weight_words else ENTRY_BITS
        return {
            "weight_bits": np.where(clustered, entry, weight_bits),
            "stored_width": np.where(clustered, width, weight_bits),
            "codebook_bits": np.where(clustered, 2.0**index * ENTRY_BITS, 0.0),
        }


def _hidden_bits(work: Work, hidden: NDArray[np.bool_]) -> Floats:
    """DRAM traffic of what works on an operator's tiles, chains of them included."""
    bits = work.inputs * work.input_bits * work.input_off_chip + work.outputs * work.output_bits * work.output_off_chip
    bits = bits.reshape(len(hidden), -1)
    behind = np.zeros_like(bits)
    for i in range(len(hidden) - 2, -1, -1):
        if hidden[i + 1]:
            behind[i] = bits[i + 1] + behind[i + 1]
    return behind.ravel()


def _beyond(bits: Floats, residency: Residency) -> Floats:
    """[S, B] share of each operator's weights that comes after those that stay on chip, in execution order."""
    if residency.weights_kb == 0:
        return np.ones_like(bits)
    total = np.cumsum(bits, axis=0)
    return np.clip((total - residency.weights_kb * KILOBYTE_BITS) / np.maximum(bits, 1.0), 0.0, 1.0)


def prepare(specs: Specs) -> PreparedNetwork:
    """Prepare a network for costing."""
    return PreparedNetwork(specs if isinstance(specs, NetworkStructure) else NetworkStructure(specs))


def under(network: PreparedNetwork, policy: Policy) -> tuple[PreparedNetwork, Mapping[str, LayerChoice]]:
    """A policy's choices, and the network that keeps channels in the multiples that a whole policy says."""
    if not isinstance(policy, CompressionPolicy):
        return network, policy
    if any(spec.round_to != policy.round_to for spec in network.specs):
        network = prepare(rounded_to(network.specs, policy.round_to))
    return network, policy.choices
