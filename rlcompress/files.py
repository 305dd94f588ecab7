"""Reading files of strangers within limits, and writing files that are never half there."""

import errno
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

_MAX_DEPTH = 24
_MAX_VALUES = 500_000
_MAX_INTEGER = 2**63
_MEGABYTE = 1_000_000


class LimitError(ValueError):
    """A file is larger, deeper or stranger than anything that it could honestly be."""


def read_bytes(path: str | Path, most: int) -> bytes:
    """The content of a regular file.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        LimitError: it is larger.
        OSError: it cannot be read, or is a folder, pipe or device.
    """
    check_size(path, most)
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise LimitError(_too_large(most))
    return content


def check_size(path: str | Path, most: int) -> int:
    """Bytes in a regular file, if it has at most ``most``; raises as `read_bytes`."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    if status.st_size > most:
        raise LimitError(_too_large(most))
    return status.st_size


def read_text(path: str | Path, most: int) -> str:
    """A regular file of UTF-8, less the mark that some begin with; raises as `read_bytes`, LimitError for others."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LimitError("it is no text in UTF-8") from None


def parse_json(text: str) -> Any:
    """Parse JSON within limits: nesting to 24, 500,000 values, finite numbers, integers of 64 bits, keys given once.

    Raises:
        LimitError: the text is not JSON, or beyond a limit; the message is one line.
    """
    try:
        value = json.loads(
            text, parse_constant=_refused, parse_float=_finite, parse_int=_bounded, object_pairs_hook=_object
        )
    except RecursionError:
        raise LimitError(f"nested deeper than {_MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise LimitError(str(error)) from None
    check_extent(value)
    return value


def check_extent(value: Any) -> None:
    """Hold a value of dictionaries and lists against the limits of `parse_json`.

    Raises:
        LimitError: it is nested deeper, holds more values or an integer of more bits.
    """
    level, depth, count = [value], 0, 0
    while level:
        count += len(level)
        if depth > _MAX_DEPTH:
            raise LimitError(f"nested deeper than {_MAX_DEPTH} levels")
        if count > _MAX_VALUES:
            raise LimitError(f"it holds more than {_MAX_VALUES} values")
        if any(isinstance(item, int) and not -_MAX_INTEGER <= item < _MAX_INTEGER for item in level):
            raise LimitError("it holds an integer of more than 64 bits")
        containers = (item for item in level if isinstance(item, dict | list | tuple | set))
        level = [inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)]
        depth += 1


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reason(error: OSError | ValueError) -> str:
    """What an error says, without the path that the caller names already."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a file in one step: whoever reads it, and whatever is killed meanwhile, sees the old or the new content.

    Raises:
        OSError: it cannot be written; the old content stays.
    """
    with open_atomic(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def open_atomic(path: str | Path) -> Iterator[BinaryIO]:
    """A file to be written piece by piece, which takes its name once all of it is there; else the old one stays.

    What a link names is written; devices and pipes are written to as they are.

    Raises:
        OSError: as `write_atomic`.
    """
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        with open(path, "wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power cut, where the system can open folders."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _too_large(most: int) -> str:
    return f"it is larger than {most} bytes" if most < _MEGABYTE else f"it is larger than {most / _MEGABYTE:g} MB"


def _refused(constant: str) -> float:
    raise LimitError(f"{constant} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise LimitError(f"the number {text[:20]} is not finite")
    return value


def _bounded(text: str) -> int:
    if len(text) > 20 or not -_MAX_INTEGER <= int(text) < _MAX_INTEGER:
        raise LimitError(f"the number {text[:20]}{'...' * (len(text) > 20)} is too large")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise LimitError(f"the key {key[:60]!r} is given twice")
        values[key] = value
    return values
