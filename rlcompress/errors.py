"""Exceptions that rlcompress raises on wrong input.

Every message is one line that names the thing that is wrong and says how to mend it; the command line prints it
and exits with status 2.
"""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_LONGEST_PART = 60
_LONGEST_LINE = 2000


class RlcompressError(Exception):
    """Base class of all exceptions raised on wrong input; what it says is one printable line."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class PolicyError(RlcompressError):
    """A compression policy, or one of its layer choices, is not valid."""


class HardwareError(RlcompressError):
    """A hardware description is not valid or cannot run a layer."""


class NetworkError(RlcompressError):
    """A network cannot be built, traced or loaded."""


class DataError(RlcompressError):
    """A data set cannot be read or does not fit the network."""


class AgentError(RlcompressError):
    """An agent's settings, spaces, demonstrations or executed actions do not fit."""


class WorkerError(RlcompressError):
    """Worker processes cannot do their work."""


class RunError(RlcompressError):
    """A run's settings or its folder cannot be used."""


class RlcompressWarning(UserWarning):
    """Something is valid, but probably not what was meant."""


def first_problem(error: ValidationError) -> str:
    """The first problem of a pydantic error in one line: where it is, what is wrong, what was given."""
    return problem_line(error.errors(include_url=False)[0])


def problem_line(problem: ErrorDetails) -> str:
    """One problem of a pydantic error in one line."""
    where = ".".join(str(part)[:_LONGEST_PART] for part in problem["loc"])
    given = "" if isinstance(problem["input"], dict | list) else repr(problem["input"])
    given = f", got {given}" if 0 < len(given) <= _LONGEST_PART else ""
    message = problem["msg"].removeprefix("Value error, ")
    return " ".join((f"{where}: {message}{given}" if where else f"{message}{given}").split())


def one_line(message: str) -> str:
    """A message in one printable line: what comes from files may hold line breaks and a terminal's commands."""
    shown = "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in message)
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[:_LONGEST_LINE]} ..."
