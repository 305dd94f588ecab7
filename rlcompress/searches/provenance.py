"""By what versions a run was made."""

import platform
import reprlib
import subprocess
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import rlcompress
from rlcompress.errors import RlcompressWarning

_LIBRARIES = ("torch", "numpy", "gymnasium", "stable-baselines3")


def provenance_now() -> dict[str, Any]:
    """Versions of the package, the interpreter and the libraries, JSON-able."""
    return {
        "rlcompress": rlcompress.__version__,
        "revision": _git_revision(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "threads": torch.get_num_threads(),
    }


def warn_of_versions(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Warn of the first of the package and its libraries that is not of the version that a run was begun with."""
    was, now = _versions(before), _versions(now)
    changed = next((name for name in now if name in was and was[name] != now[name]), None)
    if changed is not None:
        warnings.warn(
            f"{path} was begun with {changed} {reprlib.repr(was[changed])} and goes on with {now[changed]!r}: what was "
            "scored before may be scored otherwise now; begin anew with another --out if that matters",
            RlcompressWarning,
            stacklevel=2,
        )


def _versions(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that run.json holds, by name."""
    libraries = values.get("libraries")
    own = {name: values[name] for name in ("rlcompress", "revision") if values.get(name) is not None}
    return {**own, **(libraries if isinstance(libraries, dict) else {})}


def _git_revision() -> str | None:
    """Commit of the source tree that the package runs from, or None for an installed package."""
    root = Path(rlcompress.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
