"""Keys of operator instances: equal keys mean equal figures, so that known instances need not be computed again.

A key is a sum of products with odd 64-bit numbers (multilinear hashing, modulo 2^64) over everything that the figures
of an operator depend on: its own choice, what is removed from its outputs and from its producers' outputs, the widths
of the tensors it reads and writes, what stays on chip, and the same of operators that work on its tiles.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcompress.hw_models.network import OUTPUT_BITS, PreparedNetwork, Rules
from rlcompress.hw_models.use import run_width
from rlcompress.hw_models.work import Floats
from rlcompress.spec import GRANULARITIES, ChoiceBatch, keep_counts

Keys = NDArray[np.uint64]
Codes = tuple[Keys, Keys, NDArray[np.uint8]]

_FILTER = GRANULARITIES.index("filter")
_ODD = np.random.default_rng(20180601).integers(0, 2**63, 4096, np.uint64) * np.uint64(2) + np.uint64(1)


class Signature:
    """Computes the keys of a network's operators under one accelerator's rules."""

    def __init__(self, network: PreparedNetwork, rules: Rules) -> None:
        self._rules = rules
        self._network = network
        structure = network.structure
        leaders = [structure.leader.get(spec.coupling or "") for spec in network.specs]
        nothing = len(structure.layers)
        layer_of = {int(i): j for j, i in enumerate(structure.layer_index)}
        sources = [
            sorted({leaders[j] for j in (i, *structure.producers[i])} - {None})  # type: ignore[type-var]
            for i in range(len(network.specs))
        ]
        width = max((len(s) for s in sources), default=0)
        self._own = np.array([layer_of.get(i, nothing) for i in range(len(network.specs))])
        self._sources = np.array([[*s, *[nothing] * (width - len(s))] for s in sources], np.int64).T
        self._salt = _ODD[: len(network.specs), None]
        self._hidden = np.flatnonzero(network.hidden(rules))
        self._readers = [(list(layers), is_output) for layers, is_output in network.reading]
        words: NDArray[Any] = np.arange(OUTPUT_BITS * 4 + 1)
        if rules.activation_words is not None:
            words = run_width(words, rules.activation_words)
        self._words = words.astype(np.uint8)
        self._tensors = _tensors(network) if rules.residency.kb > 0 else []

    def keys(self, codes: Codes, batch: ChoiceBatch) -> Keys:
        """[S, B] keys of every operator of every policy."""
        choice, removal, activation = codes
        key = choice[self._own]
        for column, rows in enumerate(self._sources):
            key += removal[rows] * _ODD[3001 + column]
        bits = self._words[self._stored(activation)]
        key += self._widths(bits)
        if self._rules.residency.kb > 0:
            key += self._places(batch, bits)
        key *= self._salt
        for i in self._hidden[::-1]:
            key[i - 1] += key[i] * _ODD[3100]
        if self._rules.residency.weights_kb > 0:
            key += np.cumsum(key, axis=0, dtype=np.uint64) * _ODD[3101]
        return np.asarray(key)

    def _stored(self, activation: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[S, B] stored width of every output."""
        bits = np.empty((len(self._readers), activation.shape[1]), np.uint8)
        for i, (layers, is_output) in enumerate(self._readers):
            if not layers:
                bits[i] = OUTPUT_BITS
                continue
            bits[i] = activation[layers[0]]
            for layer in layers[1:]:
                np.maximum(bits[i], activation[layer], out=bits[i])
            if is_output:
                np.maximum(bits[i], OUTPUT_BITS, out=bits[i])
        return bits

    def _widths(self, bits: NDArray[np.uint8]) -> Keys:
        """Widths of what is written and of the widest tensor read."""
        both = bits.astype(np.uint64) * _ODD[3102]
        read = np.zeros_like(bits)
        for i, producers in enumerate(self._network.structure.producers):
            if producers:
                read[i] = bits[producers[0]]
                for producer in producers[1:]:
                    np.maximum(read[i], bits[producer], out=read[i])
        both += read.astype(np.uint64) * _ODD[3103]
        return np.asarray(both)

    def _places(self, batch: ChoiceBatch, bits: NDArray[np.uint8]) -> Keys:
        """What stays on chip: the own output and those read."""
        kept = _kept(self._tensors, batch)
        network = self._network
        staying = network.staying(kept * network.pixels * bits, self._rules.residency).astype(np.uint64)
        code = staying * _ODD[3104]
        for i, producers in enumerate(network.structure.producers):
            for place, producer in enumerate(producers):
                code[i] += staying[producer] * _ODD[3105 + place % 800]
        return np.asarray(code)


def policy_keys(codes: Codes) -> Keys:
    """[B] keys of whole policies."""
    choice = codes[0]
    return np.asarray(np.sum(choice * _ODD[: len(choice), None], axis=0, dtype=np.uint64))


def codes_of(batch: ChoiceBatch) -> Codes:
    """[L + 1, B] codes of the choices and of what they remove from outputs (the last row is zero); [L, B] widths."""
    policies, layers = batch.shape
    keep: NDArray[Any] = np.ascontiguousarray(batch.keep_ratio.T, np.float64).view(np.uint64)
    granularity = batch.granularity.T
    choice = np.zeros((layers + 1, policies), np.uint64)
    removal = np.zeros_like(choice)
    small = granularity * 1024 + batch.weight_bits.T * 32 + batch.activation_bits.T
    small = (small + batch.weight_quantizer.T * 16384).astype(np.uint64)
    np.multiply(keep, _ODD[3000], out=removal[:-1])
    np.multiply(small, _ODD[3099], out=choice[:-1])
    choice[:-1] += removal[:-1]
    removal[:-1] *= granularity == _FILTER
    return choice, removal, np.ascontiguousarray(batch.activation_bits.T, np.uint8)


Tensor = tuple[int | None, tuple[int, ...], int]


def _tensors(network: PreparedNetwork) -> list[Tensor]:
    """For each operator the layer whose choice removes its outputs, the strata of the outputs and their multiple."""
    leader = network.structure.leader
    return [(leader.get(spec.coupling or ""), spec.strata, spec.round_to) for spec in network.specs]


def _kept(tensors: list[Tensor], batch: ChoiceBatch) -> Floats:
    """[S, B] output channels that stay, as `NetworkStructure.kept_channels` counts them."""
    removal = np.where(batch.granularity == _FILTER, batch.keep_ratio, 1.0).T
    done: dict[Tensor, Floats] = {}
    kept = np.empty((len(tensors), batch.shape[0]))
    for i, tensor in enumerate(tensors):
        if tensor not in done:
            layer, strata, round_to = tensor
            ratio = np.ones(batch.shape[0]) if layer is None else removal[layer]
            done[tensor] = np.sum([keep_counts(n, ratio, round_to) for n in strata], axis=0).astype(np.float64)
        kept[i] = done[tensor]
    return kept
