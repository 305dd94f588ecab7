import io
import pickle
from collections import OrderedDict

import pytest

from rlcompress.files import LimitError
from rlcompress.pickles import Call, UnsafeError, read_pickle


def read(content: bytes, *names: str):
    return read_pickle(io.BytesIO(content), names.__contains__)


PLAIN = {
    "a": [1, -2, 2**70, 1.5, None, True, False, "é", b"\xff", (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {}],
    3: "x",
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_are_read_as_pickle_reads_them(protocol: int) -> None:
    content = pickle.dumps({**PLAIN, "a": PLAIN["a"][:8] + PLAIN["a"][9:]}, protocol)
    assert read(content) == pickle.loads(content)


def test_shared_values_stay_shared() -> None:
    inner = [1]
    first, second = read(pickle.dumps([inner, inner], 2))
    assert first is second


def test_calls_are_kept_and_not_made() -> None:
    call = read(pickle.dumps(OrderedDict(a=1), 2), "collections.OrderedDict")
    assert isinstance(call, Call)
    assert (call.name, call.items) == ("collections.OrderedDict", {"a": 1})


@pytest.mark.parametrize("protocol", range(6))
def test_other_names_and_instructions_are_refused(protocol: int) -> None:
    with pytest.raises(UnsafeError, match="it was not run"):
        read(pickle.dumps(print, protocol))


def test_several_pickles_follow_each_other() -> None:
    stream = io.BytesIO(pickle.dumps(1, 2) + pickle.dumps([2], 2) + b"rest")
    assert [read_pickle(stream, lambda _: False) for _ in range(2)] == [1, [2]]
    assert stream.read() == b"rest"


@pytest.mark.parametrize("content", [b"", b".", b"\x80\x02K\x01", b"a.", b"h\x05.", b"\x80\x02}](K\x01s.", b"K\x01b."])
def test_damage_is_told(content: bytes) -> None:
    with pytest.raises(LimitError):
        read(content)
