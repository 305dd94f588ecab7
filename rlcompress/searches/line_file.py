"""`LineFile`: records in a file that only grows, a line each, none of which is lost to a kill but the last."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rlcompress.errors import RunError
from rlcompress.files import LimitError, check_size, reason, sync_folder

_MAX_FILE_BYTES = 1_000_000_000
_MAX_LINE_BYTES = 5_000_000

Record = TypeVar("Record")


class LineFile:
    """A file of lines.

    Args:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, line: str) -> None:
        """Add a line; when this returns, the line outlasts a kill and a power cut.

        Raises:
            OSError: it cannot be written; the file is as it was, or ends in a part of a line.
        """
        is_new = not self._path.exists()
        with self._path.open("ab") as file:
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self._path.parent)

    def read(self, parse: Callable[[str], Record]) -> list[Record]:
        """Every record in order; a last line that a kill cut short is cut off the file.

        Args:
            parse: gives the record of a line, or raises LimitError where it is damaged.

        Raises:
            RunError: a line before the last is damaged, or the file is too large or cannot be read.
        """
        try:
            return self._read(parse)
        except FileNotFoundError:
            return []
        except (OSError, LimitError) as error:
            raise RunError(f"{self._path}: {reason(error)}; remove the file and resume again") from None

    def _read(self, parse: Callable[[str], Record]) -> list[Record]:
        records: list[Record] = []
        size, whole = check_size(self._path, _MAX_FILE_BYTES), 0
        with self._path.open("rb") as file:
            while line := file.readline(_MAX_LINE_BYTES):
                try:
                    records.append(parse(_text(line)))
                except LimitError as error:
                    if file.tell() < size:
                        raise LimitError(f"line {len(records) + 1} is damaged ({error})") from None
                    break
                whole = file.tell()
        if whole < size:
            os.truncate(self._path, whole)
        return records


def _text(line: bytes) -> str:
    if not line.endswith(b"\n"):
        raise LimitError("it is cut short")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise LimitError("it is no text in UTF-8") from None
