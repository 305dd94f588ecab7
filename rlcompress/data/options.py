"""``DIR?key=value&key=value``: a folder with options, as data names on the command line have them."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlcompress.errors import DataError


def call_with_options(load: Callable[..., Any], name: str, rest: str) -> Any:
    """Call ``load(folder, key=value, ...)``; the types of its keyword arguments say how values are read.

    Args:
        load: takes a folder and keyword arguments annotated int, float or str.
        name: of the data, for messages.
        rest: what stands behind ``name:``.

    Raises:
        DataError: an option that ``load`` does not have, is given twice, or cannot be read.
    """
    folder, _, query = rest.partition("?")
    known = dict(list(inspect.signature(load, eval_str=True).parameters.items())[1:])
    options: dict[str, Any] = {}
    for part in query.split("&") if query else ():
        key, _, value = part.partition("=")
        if key not in known or key in options:
            what = "given twice" if key in options else f"unknown; it has {', '.join(known) or 'none'}"
            raise DataError(f"data {name}:{rest}: option {key!r} is {what}")
        options[key] = _read(known[key].annotation, value, f"data {name}:{rest}: {key}")
    return load(folder, **options)


def _read(kind: Any, text: str, where: str) -> Any:
    if str in (kind, *getattr(kind, "__args__", ())):
        return text
    try:
        return kind(text)
    except ValueError:
        raise DataError(f"{where} must be a number, got {text!r}") from None


def existing_folder(folder: str, name: str) -> Path:
    """The folder as a path; a shell leaves the ~ of ``cifar10:~/data`` alone.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    path = Path(os.path.expanduser(folder))
    if not path.is_dir():
        raise DataError(f"data {name}:{folder}: no such folder; give the one that holds the images")
    if not os.access(path, os.R_OK | os.X_OK):
        raise DataError(f"data {name}:{folder}: cannot be read; make it readable")
    return path
