"""The command as it was typed, for reproducing and resuming it."""

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer


def typed_command() -> str:
    """The command line without ``--resume``."""
    return shlex.join(["rlcompress", *(argument for argument in sys.argv[1:] if argument != "--resume")])


def end_as_ctrl_c() -> None:
    """Let SIGTERM end the command as Ctrl-C does, so that what is open gets closed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def resumable(begun: Path) -> Iterator[None]:
    """Says on interruption how to go on, if the file ``begun`` is there by then."""
    try:
        yield
    except KeyboardInterrupt:
        if begun.exists():
            said = f"interrupted; everything evaluated is kept. Go on with:\n  {typed_command()} --resume"
        else:
            said = f"interrupted before the first evaluation. Begin again with:\n  {typed_command()}"
        typer.echo(said, err=True)
        raise
