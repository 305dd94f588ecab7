"""`load_data`: data sets by the names of the command line."""

import pkgutil
import re

from rlcompress.data.datasets import as_splits
from rlcompress.data.options import call_with_options
from rlcompress.data.splits import DataSplits
from rlcompress.errors import DataError
from rlcompress.plugins import importable, resolve

_WITHOUT_FOLDER = {"digits": "rlcompress.data.digits:load_digits"}
_WITH_FOLDER = {
    "cifar10": "rlcompress.data.cifar:load_cifar10",
    "cifar100": "rlcompress.data.cifar:load_cifar100",
    "imagefolder": "rlcompress.data.imagefolder:load_imagefolder",
    "set5": "rlcompress.data.set5:load_set5",
}
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def load_data(data: str) -> DataSplits:
    """Load a data set, cut into calibration, search and test images.

    The option ``search=moved`` of any name, as in ``cifar10:DIR?search=moved``, gives `DataSplits.with_moved_search`.

    Args:
        data: ``digits``, ``cifar10:DIR``, ``cifar100:DIR``, ``imagefolder:DIR?size=224&crop=0.875`` (see
            `load_imagefolder`), ``set5:DIR?scale=2&train=DIR`` (see `load_set5`), or ``package.module:function`` of a
            function without arguments that gives what `as_splits` takes.

    Raises:
        DataError: unknown name or option, or files that are missing or damaged.
    """
    plain, moved = _without_search(data)
    splits = _named(plain)
    return splits.with_moved_search() if moved else splits


def _without_search(data: str) -> tuple[str, bool]:
    """The name without the option of the search images, and whether these are to be moved.

    Raises:
        DataError: the option has another value.
    """
    source, _, query = data.partition("?")
    options = query.split("&") if query else []
    asked = [option.partition("=")[2] for option in options if option.partition("=")[0] == "search"]
    if asked not in ([], ["moved"]):
        raise DataError(f"data {data!r}: the option 'search' takes 'moved' and is given once; or leave it out")
    others = [option for option in options if option.partition("=")[0] != "search"]
    return (f"{source}?{'&'.join(others)}" if others else source), bool(asked)


def _named(data: str) -> DataSplits:
    name, colon, rest = data.partition(":")
    splits: DataSplits
    if name in _WITHOUT_FOLDER and not colon:
        splits = pkgutil.resolve_name(_WITHOUT_FOLDER[name])()
    elif name in _WITH_FOLDER and rest:
        splits = call_with_options(pkgutil.resolve_name(_WITH_FOLDER[name]), name, rest)
    elif (plain := data.partition("?")[0]) != data and plain in _WITHOUT_FOLDER:
        raise DataError(f"data {data!r}: {plain!r} has no option but 'search'; leave out the others")
    elif _FUNCTION.fullmatch(data) and name not in (*_WITHOUT_FOLDER, *_WITH_FOLDER) and importable(data):
        splits = _from_function(data)
    else:
        choices = [*_WITHOUT_FOLDER, *(f"{name}:DIR" for name in _WITH_FOLDER), "package.module:function"]
        raise DataError(f"unknown data {data!r}: give one of {', '.join(choices)}")
    return splits


def _from_function(data: str) -> DataSplits:
    function = resolve(data, "data", DataError)
    try:
        made = function()
    except DataError:
        raise
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"data {data!r}: the function failed ({reason}); it is called without arguments") from None
    return as_splits(made, data)
