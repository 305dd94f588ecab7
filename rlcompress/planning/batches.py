"""Taking batches of policies apart and putting them together."""

from collections.abc import Sequence

import numpy as np

from rlcompress.spec import ChoiceBatch


def row(batch: ChoiceBatch, i: int) -> ChoiceBatch:
    """Policy ``i`` alone, as a batch of one."""
    return batch.rows(slice(i, i + 1))


def same(a: ChoiceBatch, b: ChoiceBatch) -> bool:
    """Whether two batches hold equal choices."""
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ChoiceBatch.__slots__)


def repeated(plan: ChoiceBatch, count: int) -> ChoiceBatch:
    """``count`` copies of a batch of one; arrays of its own."""
    return ChoiceBatch(*(getattr(plan, name).repeat(count, 0) for name in ChoiceBatch.__slots__))


def joined(policies: Sequence[ChoiceBatch]) -> ChoiceBatch:
    """Policies one after the other."""
    return ChoiceBatch(*(np.concatenate([getattr(p, name) for p in policies]) for name in ChoiceBatch.__slots__))
