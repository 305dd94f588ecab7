"""Find and read hardware descriptions."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from rlcompress.errors import HardwareError, first_problem
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.model import HardwareModel

_MAX_FILE_BYTES = 1_000_000


def available() -> tuple[str, ...]:
    """Names of the built-in descriptions."""
    folder = files("rlcompress.hw_models") / "descriptions"
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load(name_or_path: str | Path) -> HardwareModel:
    """The model of a built-in description or of a YAML file.

    Raises:
        HardwareError: there is no such description, or it is not valid; the message names the key and the mend.
    """
    return HardwareModel(read_description(name_or_path))


def read_description(name_or_path: str | Path) -> Description:
    """Read and validate a description.

    Raises:
        HardwareError: as `load`.
    """
    text, source = _read(str(name_or_path))
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise HardwareError(f"{source}: not valid YAML ({problem})") from None
    return parse_description(values, source)


def parse_description(values: Any, source: str) -> Description:
    """Validate a description that has been read from YAML.

    Raises:
        HardwareError: a key is unknown, missing or out of range.
    """
    if not isinstance(values, dict):
        raise HardwareError(f"{source}: a description is a mapping with the keys {', '.join(Description.model_fields)}")
    try:
        return Description(**values)
    except (ValidationError, TypeError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise HardwareError(f"{source}: {problem}") from None


def _read(name: str) -> tuple[str, str]:
    if name in available():
        return (files("rlcompress.hw_models") / "descriptions" / f"{name}.yaml").read_text(encoding="utf-8"), name
    path = Path(name)
    if not path.suffix:
        raise HardwareError(f"hardware {name!r} is unknown; choose from {', '.join(available())}, or give a YAML file")
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise HardwareError(f"{name}: larger than {_MAX_FILE_BYTES} bytes, so it is no description")
        return path.read_text(encoding="utf-8"), name
    except (OSError, UnicodeDecodeError) as error:
        raise HardwareError(f"{name}: cannot read the description ({error}); give the path of a YAML file") from None
