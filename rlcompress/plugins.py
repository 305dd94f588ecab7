"""`resolve`: what a ``package.module:attribute`` or ``path/to/file.py:attribute`` string names."""

import hashlib
import importlib
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from rlcompress.errors import RlcompressError


def importable(name: str) -> bool:
    """Whether the package of ``package.module:attribute`` is installed or in the current folder; nothing is run."""
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.append(str(Path.cwd()))
    return find_spec(name.partition(":")[0].partition(".")[0]) is not None


def resolve(name: str, kind: str, error: type[RlcompressError]) -> Any:
    """Import the object that ``package.module:attribute`` or ``path/to/file.py:attribute`` names.

    The current folder counts as installed, and a file's folder while the file is imported.

    Importing runs the module: the name must be the user's own words, never a file's.

    Args:
        name: as the user gave it.
        kind: what it is to be, for messages.
        error: class of the exception.

    Raises:
        RlcompressError: of the given class; there is no such module or attribute, or the module fails.
    """
    module_name, _, attribute = name.partition(":")
    from_file = module_name.endswith(".py")
    if from_file and not Path(module_name).is_file():
        raise error(f"{kind} {name!r}: there is no file {module_name}; check its path")
    if not from_file and not importable(name):
        raise error(f"{kind} {name!r}: no module {module_name!r} is installed or in the current folder; check its name")
    try:
        found = _imported_file(Path(module_name)) if from_file else importlib.import_module(module_name)
    except (Exception, SystemExit) as problem:  # a user's module may raise anything
        raise error(
            f"{kind} {name!r}: importing {module_name!r} failed ({reason_of(problem)}); mend the module"
        ) from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise error(f"{kind} {name!r}: {module_name} has no {attribute!r}; give the name of one that it has")
        found = getattr(found, part)
    return found


def file_of(thing: Any) -> Path | None:
    """The file that a class or function comes from, if `resolve` has imported it by its path."""
    return _FILES.get(thing.__module__)


def reason_of(error: BaseException) -> str:
    """What an exception of a user's code says, in one line."""
    if isinstance(error, SystemExit):
        return "it ends the program"
    return " ".join(str(error).split()) or type(error).__name__


_FILES: dict[str, Path] = {}
"""Name of a module -> the file that it was imported from by its path."""


def _imported_file(path: Path) -> ModuleType:
    """The module in a file, run once a process."""
    whole = path.resolve()
    name = f"{whole.stem}_{hashlib.sha256(bytes(whole)).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, whole)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    _FILES[name] = whole
    sys.path.insert(0, str(whole.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(whole.parent))
    return module
