"""`Memo`: results by arguments, like `functools.lru_cache`, but bounded in bytes and taken along to workers."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Result = TypeVar("Result")


def _unknown(_result: object) -> int:
    return 0


class Memo(Generic[Result]):
    """Calls a function once for each tuple of arguments; forgets what was not asked for longest.

    Args:
        function: of hashable arguments; a method of an object that can be pickled, for the memo to be pickled.
        most: bytes kept; None for all. The last result is kept whatever its size.
        size: bytes of a result; wanted with ``most``.
    """

    def __init__(
        self, function: Callable[..., Result], most: int | None = None, size: Callable[[Result], int] | None = None
    ) -> None:
        self._function = function
        self._most = most
        self._size = size or _unknown
        self._known: OrderedDict[tuple[Hashable, ...], Result] = OrderedDict()
        self._bytes = 0

    def __call__(self, *arguments: Hashable) -> Result:
        """The function's result."""
        if arguments in self._known:
            self._known.move_to_end(arguments)
            return self._known[arguments]
        result = self._known[arguments] = self._function(*arguments)
        self._bytes += self._size(result)
        while self._most is not None and self._bytes > self._most and len(self._known) > 1:
            self._bytes -= self._size(self._known.popitem(last=False)[1])
        return result
