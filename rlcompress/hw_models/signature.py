"""Keys of operator instances: equal keys mean equal figures, so that known instances need not be computed again.

A key is a sum of products with odd 64-bit numbers (multilinear hashing, modulo 2^64) over everything that the figures
of an operator depend on: its own choice, what is removed from its outputs and from its producers' outputs, the widths
of the tensors it reads and writes, what stays on chip, and the same of operators that work on its tiles. Choices are
mixed first, as the hash tells apart only what differs in low bits as well.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcompress.hw_models.lists import columns, with_row
from rlcompress.hw_models.network import OUTPUT_BITS, PreparedNetwork, Rules
from rlcompress.hw_models.use import run_width
from rlcompress.spec import GRANULARITIES, ChoiceBatch

Keys = NDArray[np.uint64]
Codes = tuple[Keys, Keys, NDArray[np.uint8]]

_FILTER = GRANULARITIES.index("filter")
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)
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
        self._sources = columns(sources, nothing)
        self._salt = _ODD[:operators, None]
        self._hidden = np.flatnonzero(network.hidden(rules))
        words: NDArray[Any] = np.arange(OUTPUT_BITS * 4 + 1)
        if rules.activation_words is not None:
            words = run_width(words, rules.activation_words)
        self._words = words.astype(np.uint8)

    def keys(self, codes: Codes, batch: ChoiceBatch) -> Keys:
        """[S, B] keys of every operator of every policy."""
        choice, removal, activation = codes
        key = choice[self._own]
        for column, rows in enumerate(self._sources):
            key += removal[rows] * _ODD[3001 + column]
        bits = self._words[self._network.widest_reader(activation)]
        key += bits * _ODD[3102] + self._network.widest_input(bits) * _ODD[3103]
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
        sizes = self._network.structure.kept_outputs(batch).T * self._network.pixels * bits
        staying = self._network.staying(sizes, self._rules.residency)
        code = staying * _ODD[3104]
        read = with_row(staying, 0)
        for place, rows in enumerate(self._network.producers):
            code += read[rows] * _ODD[3105 + place % 800]
        return np.asarray(code)


def _mixed(words: Keys) -> Keys:
    """Different words for different ones, whose differences reach every bit (as MurmurHash3 ends).

    Ratios such as 1/4 and 1/2 differ in their highest bits alone, and products with odd numbers would leave it at that.
    """
    words = (words ^ (words >> np.uint64(33))) * _MULTIPLIER
    return np.asarray(words ^ (words >> np.uint64(33)))


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
    np.multiply(_mixed(keep), _ODD[3000], out=removal[:-1])
    np.multiply(_mixed(small), _ODD[3099], out=choice[:-1])
    choice[:-1] += removal[:-1]
    removal[:-1] *= granularity == _FILTER
    return choice, removal, np.ascontiguousarray(batch.activation_bits.T, np.uint8)
