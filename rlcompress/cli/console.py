"""Where tables and messages are printed; a name such as ``mine:data:`` is no emoji."""

import sys
from typing import TextIO

from rich.console import Console

_WIDTH_OF_FILES = 160


def stdout(file: TextIO | None = None) -> Console:
    """A console on standard output or a buffer for it; as wide as the terminal, or wide where there is none."""
    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    return Console(file=file or sys.stdout, width=width, emoji=False)


def stderr() -> Console:
    """A console for messages."""
    return Console(stderr=True, emoji=False)
