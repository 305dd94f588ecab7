"""`Memo`: a bounded table of known results, looked up for whole arrays of keys at once."""

import numpy as np
from numpy.typing import NDArray

from rlcompress.hw_models.signature import Keys
from rlcompress.hw_models.work import Floats

_PROBES = 8
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Memo:
    """An open-addressing hash table from 64-bit keys to rows of values.

    When it is half full it starts anew, so that memory stays bounded.

    Attributes:
        values: [slots, width].
    """

    def __init__(self, bits: int, width: int) -> None:
        self._bits = bits
        self._width = width
        self._clear()

    def _clear(self) -> None:
        slots = 1 << self._bits
        self._keys = np.zeros(slots, np.uint64)
        self.values = np.zeros((slots, self._width))
        self._used = 0

    def _first_slots(self, keys: Keys) -> NDArray[np.int64]:
        return ((keys * _MIX) >> np.uint64(64 - self._bits)).view(np.int64)

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Slots of ``keys``, -1 where a key is not known."""
        slots = self._first_slots(keys)
        there = self._keys[slots]
        slots[there == 0] = -1
        elsewhere = (there != keys) & (there != 0)
        if elsewhere.any():
            slots[elsewhere] = self._probe(keys[elsewhere], slots[elsewhere])
        return slots

    def _probe(self, keys: Keys, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        found = np.full(len(keys), -1)
        for step in range(1, _PROBES):
            place = (slots + step) & ((1 << self._bits) - 1)
            found = np.where((found < 0) & (self._keys[place] == keys), place, found)
        return found

    def add(self, keys: Keys, values: Floats) -> None:
        """Store ``values`` [n, width] of n different keys that are not known; what finds no slot is left out."""
        if self._used + len(keys) > 1 << (self._bits - 1):
            self._clear()
        slots = self._first_slots(keys)
        left = np.arange(len(keys))
        for step in range(_PROBES):
            place = (slots[left] + step) & ((1 << self._bits) - 1)
            first = np.zeros(len(left), bool)
            first[np.unique(place, return_index=True)[1]] = True
            take = (self._keys[place] == 0) & first
            self._keys[place[take]] = keys[left[take]]
            self.values[place[take]] = values[left[take]]
            left = left[~take]
            if not len(left):
                break
        self._used += len(keys) - len(left)
