"""Where tables are printed."""

import sys
from typing import TextIO

from rich.console import Console

_WIDTH_OF_FILES = 160


def stdout(file: TextIO | None = None) -> Console:
    """A console on standard output or a file; wide where no terminal limits it."""
    target = file or sys.stdout
    return Console(file=target, width=None if target.isatty() else _WIDTH_OF_FILES)
