"""Exceptions that rlcompress raises on wrong input.

Every message is one line that names the thing that is wrong and says how to mend it; the command line prints it
and exits with status 2.
"""

from pydantic import ValidationError


class RlcompressError(Exception):
    """Base class of all exceptions raised on wrong input."""


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


class RunError(RlcompressError):
    """A run's settings or its folder cannot be used."""


def first_problem(error: ValidationError) -> str:
    """The first problem of a pydantic error in one line: where it is, what is wrong, what was given."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    given = repr(problem["input"])
    given = "" if isinstance(problem["input"], dict | list) or len(given) > 60 else f", got {given}"
    message = problem["msg"].removeprefix("Value error, ")
    line = f"{where}: {message}{given}" if where else f"{message}{given}"
    return " ".join(line.split())  # a key of a file may hold line breaks
