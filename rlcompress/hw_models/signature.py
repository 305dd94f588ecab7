"""Keys of operator instances: equal keys mean equal figures, so that known instances need not be computed again.

A key is a sum of products with odd 64-bit numbers (multilinear hashing, modulo 2^64) over everything that the figures
of an operator depend on: its own choice, what is removed from its outputs and from its producers' outputs, the widths
of the tensors it reads and writes, what stays on chip, and the same of operators that work on its tiles.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcompress.hw_models.network import OUTPUT_BITS, PreparedNetwork, Rules
from rlcompress.hw_models.use import run_width
from rlcompress.spec import GRANULARITIES, ChoiceBatch, NetworkStructure, keep_counts

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
        operators, nothing = len(network.specs), len(structure.layers)
        leaders = [structure.leader.get(spec.coupling or "") for spec in network.specs]
        layer_of = {int(i): j for j, i in enumerate(structure.layer_index)}
        sources = [
            sorted({leader for j in (i, *structure.producers[i]) if (leader := leaders[j]) is not None})
            for i in range(operators)
        ]
        self._own = np.array([layer_of.get(i, nothing) for i in range(operators)])
        self._sources = _columns(sources, nothing)
        self._salt = _ODD[:operators, None]
        self._hidden = np.flatnonzero(network.hidden(rules))
        readers = [(*layers, nothing) if is_output else layers for layers, is_output in network.reading]
        self._readers = _columns(readers, nothing)
        self._producers = _columns(structure.producers, operators)
        words: NDArray[Any] = np.arange(OUTPUT_BITS * 4 + 1)
        if rules.activation_words is not None:
            words = run_width(words, rules.activation_words)
        self._words = words.astype(np.uint8)
        self._outputs = _Outputs(structure)

    def keys(self, codes: Codes, batch: ChoiceBatch) -> Keys:
        """[S, B] keys of every operator of every policy."""
        choice, removal, activation = codes
        key = choice[self._own]
        for column, rows in enumerate(self._sources):
            key += removal[rows] * _ODD[3001 + column]
        bits = self._words[_largest(activation, self._readers, OUTPUT_BITS)]
        key += bits * _ODD[3102] + _largest(bits, self._producers, 0) * _ODD[3103]
        if self._rules.residency.kb > 0:
            key += self._places(batch, bits)
        key *= self._salt
        for i in self._hidden[::-1]:
            key[i - 1] += key[i] * _ODD[3100]
        if self._rules.residency.weights_kb > 0:
            key += np.cumsum(key, axis=0, dtype=np.uint64) * _ODD[3101]
        return np.asarray(key)

    def _places(self, batch: ChoiceBatch, bits: NDArray[np.uint8]) -> Keys:
        """What stays on chip: the own output and those read."""
        sizes = self._outputs.kept(batch) * self._network.pixels * bits
        staying = self._network.staying(sizes, self._rules.residency)
        code = staying * _ODD[3104]
        read = _with_row(staying, 0)
        for place, rows in enumerate(self._producers):
            code += read[rows] * _ODD[3105 + place % 800]
        return np.asarray(code)


class _Outputs:
    """Counts the output channels that stay, as `NetworkStructure.kept_channels` does."""

    def __init__(self, structure: NetworkStructure) -> None:
        tensors = [(structure.leader.get(s.coupling or "", -1), s.strata, s.round_to) for s in structure.specs]
        distinct = list(dict.fromkeys(tensors))
        self._of = np.array([distinct.index(tensor) for tensor in tensors])
        self._leaders = np.array([leader for leader, _, _ in distinct])
        self._round_to = np.array([[round_to] for _, _, round_to in distinct])
        width = max(len(strata) for _, strata, _ in distinct)
        self._strata = np.array([[*strata, *[0] * (width - len(strata))] for _, strata, _ in distinct]).T[..., None]

    def kept(self, batch: ChoiceBatch) -> NDArray[np.int64]:
        """[S, B] channels."""
        removal = _with_row(np.where(batch.granularity == _FILTER, batch.keep_ratio, 1.0).T, 1)  # for the leader -1
        ratios = removal[self._leaders]
        return np.asarray(keep_counts(self._strata, ratios, self._round_to).sum(axis=0)[self._of])


def _columns(lists: Sequence[Sequence[int]], empty: int) -> NDArray[np.int64]:
    """[longest, lists] the n-th number of every list: its first again once it has ended, ``empty`` if it has none."""
    longest = max(1, *map(len, lists))
    padded = [[*numbers, *[numbers[0] if numbers else empty] * (longest - len(numbers))] for numbers in lists]
    return np.array(padded, np.int64).T


def _largest(table: NDArray[np.uint8], columns: NDArray[np.int64], last: int) -> NDArray[np.uint8]:
    """[lists, B] largest of each list's rows; the table gets a further row of ``last``."""
    table = _with_row(table, last)
    found = table[columns[0]]
    for rows in columns[1:]:
        np.maximum(found, table[rows], out=found)
    return found


def _with_row(table: NDArray[Any], value: float) -> NDArray[Any]:
    """The table and a row of one value below it."""
    return np.concatenate([table, np.full_like(table[:1], value)])


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
    small = (granularity * 1024 + batch.weight_bits.T * 32 + batch.activation_bits.T).astype(np.uint64)
    if batch.weight_quantizer.any():
        small += batch.weight_quantizer.T.astype(np.uint64) * np.uint64(16384)
    np.multiply(keep, _ODD[3000], out=removal[:-1])
    np.multiply(small, _ODD[3099], out=choice[:-1])
    choice[:-1] += removal[:-1]
    removal[:-1] *= granularity == _FILTER
    return choice, removal, np.ascontiguousarray(batch.activation_bits.T, np.uint8)
