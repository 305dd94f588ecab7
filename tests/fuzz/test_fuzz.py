"""Spoiled files of every format: read after all, or refused in one line, quickly and in little memory."""

import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlcompress.errors import RlcompressError
from tests.fuzz.formats import FORMATS

CASES = 50  # of each format; more than 1,000 in all
SECONDS = 5  # of this process: other work on the machine does not count
WAITING_SECONDS = 60
BYTES = 1_000_000_000


class Hang(BaseException):
    """Nothing that is read catches this."""


@contextmanager
def bounded() -> Iterator[None]:
    """Fail what takes longer than `SECONDS`; let what takes more than `BYTES` run out of memory."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise Hang

    before = {number: signal.signal(number, late) for number in (signal.SIGPROF, signal.SIGALRM)}
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES, limits[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAITING_SECONDS)
    started = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert time.process_time() - started < SECONDS


def use(path: Path, content: bytes, user: Callable[[Path], object]) -> str | None:
    """What is said about a file, or None if it is used after all."""
    path.write_bytes(content)
    try:
        with bounded():
            user(path)
    except RlcompressError as error:
        message = str(error)
        assert message
        assert message.isprintable()
        assert len(message) < 2500
        return message
    return None


@cache
def example(name: str) -> bytes:
    return FORMATS[name].example()


@pytest.mark.parametrize("name", FORMATS)
def test_the_honest_file_is_used(name: str, tmp_path: Path) -> None:
    assert use(tmp_path / FORMATS[name].name, example(name), FORMATS[name].use) is None


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=CASES, suppress_health_check=list(HealthCheck), derandomize=True)
def test_a_spoiled_file_is_used_or_refused_in_one_line(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = data.draw(FORMATS[name].spoiled(example(name)))
    use(tmp_path_factory.mktemp("spoiled") / FORMATS[name].name, content, FORMATS[name].use)
