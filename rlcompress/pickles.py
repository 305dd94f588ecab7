"""Reading what a pickle holds without running it.

A pickle is a program: it may name any importable function and have it called. The interpreter here knows the
instructions that build plain values, keeps every call as a `Call` for the reader to judge, and imports nothing.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any, Final

from rlcompress.files import LimitError

_MAX_STEPS = 300_000  # CIFAR-100's training images take 200,000
_MAX_EXPANDED = 1_000_000  # values in a tuple, counting what it shares as often as it is shared
_PLAIN_KEYS = (str, bytes, int)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT")
_TEXTS = ("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
_OLD_STRINGS = ("BINSTRING", "SHORT_BINSTRING")
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK: Final = object()


class UnsafeError(LimitError):
    """A pickle wants something run that such a file does not need."""


class Name(str):
    """A dotted name that a pickle refers to."""

    __slots__ = ()


class Call:
    """What a pickle asks for and does not get.

    Attributes:
        name: what is to be called, or ``persistent``.
        arguments: of the call.
        items: pairs that are put into its result.
        state: that is given to its result.
    """

    __slots__ = ("arguments", "items", "name", "state")

    def __init__(self, name: str, arguments: Any) -> None:
        self.name, self.arguments, self.state = name, arguments, None
        self.items: dict[Any, Any] = {}


def read_pickle(stream: io.BytesIO, may_name: Callable[[str], bool]) -> Any:
    """Values of the pickle at a stream's position, which is left behind it.

    Args:
        stream: of the file's content.
        may_name: whether a dotted name is one that such a file needs.

    Raises:
        UnsafeError: it names something else, or wants to run what is not named.
        LimitError: it is damaged or too long.
    """
    try:
        return _Machine(may_name).run(stream)
    except LimitError:
        raise
    except Exception as error:  # a damaged pickle can go wrong anywhere
        raise LimitError("it is damaged") from error


class _Machine:
    """The stack machine of pickles, without the instructions that import or call."""

    def __init__(self, may_name: Callable[[str], bool]) -> None:
        self._may_name = may_name
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._expanded: dict[int, tuple[int, Any]] = {}  # the tuple is kept, so that its id stays its own

    def run(self, stream: io.BytesIO) -> Any:
        for steps, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if steps > _MAX_STEPS:
                raise LimitError(f"its pickle has more than {_MAX_STEPS} steps")
            if opcode.name == "STOP":
                return self._stack.pop()
            self._step(opcode.name, argument)
        raise LimitError("it is cut short")

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _NUMBERS or name in _TEXTS:
            self._stack.append(argument)
        elif name in _OLD_STRINGS:
            self._stack.append(argument.encode("latin-1"))
        elif name in _TUPLES:
            self._tuple(self._popped(_TUPLES[name]))
        else:
            handler = getattr(self, f"_{name.lower()}", None)
            if handler is None:
                raise UnsafeError(f"its pickle uses {name}, which no such file needs; it was not run")
            handler(argument)

    def _popped(self, count: int) -> list[Any]:
        if count > len(self._stack):
            raise LimitError("it is damaged")
        items = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return items

    def _since_mark(self) -> list[Any]:
        items = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _tuple(self, items: list[Any] | None) -> None:
        made = tuple(self._since_mark() if items is None else items)
        size = 1 + sum(self._expanded[id(item)][0] if id(item) in self._expanded else 1 for item in made)
        if size > _MAX_EXPANDED:
            raise LimitError("its pickle nests tuples without end")
        if made:
            self._expanded[id(made)] = size, made
        self._stack.append(made)

    def _proto(self, _: Any) -> None: ...

    def _frame(self, _: Any) -> None: ...

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _put(self, index: Any) -> None:
        self._memo[int(index)] = self._stack[-1]

    _binput = _long_binput = _put

    def _get(self, index: Any) -> None:
        self._stack.append(self._memo[int(index)])

    _binget = _long_binget = _get

    def _empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _append(self, _: Any) -> None:
        item = self._stack.pop()
        self._into(list, self._stack[-1]).append(item)

    def _appends(self, _: Any) -> None:
        items = self._since_mark()
        self._into(list, self._stack[-1]).extend(items)

    def _setitem(self, _: Any) -> None:
        self._fill(self._popped(2))

    def _setitems(self, _: Any) -> None:
        self._fill(self._since_mark())

    def _fill(self, items: list[Any]) -> None:
        target, keys = self._stack[-1], items[::2]
        if not all(isinstance(key, _PLAIN_KEYS) for key in keys):
            raise LimitError("its pickle has keys that are neither words nor integers")
        pairs = dict(zip(keys, items[1::2], strict=True))
        self._into(dict, target.items if isinstance(target, Call) else target).update(pairs)

    def _into(self, kind: type, target: Any) -> Any:
        if type(target) is not kind:
            raise LimitError("it is damaged")
        return target

    def _global(self, argument: Any) -> None:
        self._named(str(argument).replace(" ", ".", 1))

    def _stack_global(self, _: Any) -> None:
        self._named(".".join(map(str, self._popped(2))))

    def _named(self, name: str) -> None:
        if not self._may_name(name):
            raise UnsafeError(f"its pickle names {name[:80]!r}, which no such file needs; it was not run")
        self._stack.append(Name(name))

    def _reduce(self, _: Any) -> None:
        name, arguments = self._popped(2)
        self._stack.append(Call(str(name), arguments))

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        if not isinstance(self._stack[-1], Call):
            raise LimitError("it is damaged")
        self._stack[-1].state = state

    def _binpersid(self, _: Any) -> None:
        self._stack.append(Call("persistent", self._stack.pop()))
