"""The largest rows of a table that lists of different lengths name."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Number = TypeVar("_Number", bound=np.generic)


def columns(lists: Sequence[Sequence[int]], empty: int) -> NDArray[np.int64]:
    """[longest, lists] the n-th number of every list: its first again once it has ended, ``empty`` if it has none."""
    longest = max(1, *map(len, lists))
    padded = [[*numbers, *[numbers[0] if numbers else empty] * (longest - len(numbers))] for numbers in lists]
    return np.array(padded, np.int64).T


def largest(table: NDArray[_Number], rows: NDArray[np.int64], last: int) -> NDArray[_Number]:
    """[lists, B] largest of the rows of a table [R, B] that each list names; row R holds ``last``.

    Args:
        table: [R, B].
        rows: [longest, lists] as `columns` gives them.
        last: see there.
    """
    table = with_row(table, last)
    found = table[rows[0]]
    for more in rows[1:]:
        np.maximum(found, table[more], out=found)
    return found


def with_row(table: NDArray[_Number], value: float) -> NDArray[_Number]:
    """The table and a row of one value below it."""
    return np.concatenate([table, np.full_like(table[:1], value)])
