import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlcompress.data.cifar_pickle import read_batch
from rlcompress.errors import DataError
from tests.data.python2_pickle import dumps

PIXELS = np.arange(2 * 3072).astype(np.uint8).reshape(2, 3072)
GOOD = {b"labels": [7, 300], b"data": PIXELS}


def read(tmp_path, content: bytes):
    (tmp_path / "batch").write_bytes(content)
    return read_batch(tmp_path / "batch", b"labels")


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_official_form(tmp_path, layout):
    pixels, labels = read(tmp_path, dumps(GOOD | {b"data": layout(PIXELS)}))
    assert np.array_equal(pixels, PIXELS)
    assert labels.tolist() == [7, 300]


class Exploit:
    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("call", [os.mkdir, exec])
def test_a_malicious_pickle_is_not_run(tmp_path, protocol, call):
    canary = str(tmp_path / "canary")
    exploit = Exploit(call, canary if call is os.mkdir else f"import os; os.mkdir({canary!r})")
    with pytest.raises(DataError) as caught:
        read(tmp_path, pickle.dumps(exploit, protocol))
    assert not os.path.exists(canary)
    assert "\n" not in str(caught.value)
    assert f".{call.__name__}', which no such file needs; it was not run" in str(caught.value)


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy\nload\n.",
        b"cnumpy.core.multiarray\nfromfile\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.tofile\x93.",
        b"(S'true'\nios\nsystem\n.",
        b"(cos\nsystem\nS'true'\no.",
        b"cbuiltins\ngetattr\n(cnumpy\nndarray\nS'__class__'\ntR.",
        b"Pname\n.",
    ],
    ids=["load", "fromfile", "attribute", "INST", "OBJ", "getattr", "PERSID"],
)
def test_names_next_to_the_admitted_ones_are_refused(tmp_path, program):
    with pytest.raises(DataError, match=r"it was not run|damaged"):
        read(tmp_path, program)


@pytest.mark.parametrize(
    "content",
    [
        {b"labels": [1, 2]},
        {b"data": PIXELS},
        GOOD | {b"data": b"bytes"},
        GOOD | {b"data": PIXELS[:, 1:].copy()},
        GOOD | {b"data": PIXELS[:0]},
        GOOD | {b"data": PIXELS.astype(np.int16)},
        GOOD | {b"data": PIXELS.reshape(2, 3, 1024)},
        GOOD | {b"labels": [1]},
        GOOD | {b"labels": [b"1", b"2"]},
        GOOD | {b"labels": PIXELS},
    ],
)
def test_other_content_is_an_error(tmp_path, content):
    with pytest.raises(DataError, match=r"no uint8 data \[N, 3072\] and labels \[N\] inside"):
        read(tmp_path, dumps(content))


def test_an_array_that_lies_about_its_size_is_an_error(tmp_path):
    content = dumps(GOOD)
    assert content.count(b"(K\x02M\x00\x0c") == 1
    with pytest.raises(DataError):
        read(tmp_path, content.replace(b"(K\x02M\x00\x0c", b"(K\x03M\x00\x0c"))


@given(end=st.integers(0, len(dumps(GOOD)) - 1))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_batch_cut_short_anywhere(tmp_path, end):
    with pytest.raises(DataError, match="damaged, or not of CIFAR's python version"):
        read(tmp_path, dumps(GOOD)[:end])
