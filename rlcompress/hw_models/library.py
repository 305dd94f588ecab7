"""Find and read hardware descriptions."""

import itertools
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from rlcompress.errors import HardwareError, first_problem
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.model import HardwareModel
from rlcompress.hw_models.table import TableModel, read_table

_MAX_FILE_BYTES = 1_000_000
_UNIONS = ("array", "mac")
"""Keys whose ``type`` selects the part; it is no part of the path in the file."""

_MENDS = {
    "Field required": "is missing; add this key",
    "Extra inputs are not permitted": "is no key of a description; mend its name or remove it",
}


def available() -> tuple[str, ...]:
    """Names of the built-in descriptions."""
    folder = files("rlcompress.hw_models") / "descriptions"
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load(name_or_path: str | Path) -> HardwareModel:
    """The model of a built-in description, of a YAML file, or of a CSV table of measured costs.

    Raises:
        HardwareError: there is no such description, or it is not valid; the message names the file, the line, the key
            and the mend.
    """
    if str(name_or_path).endswith(".csv"):
        return TableModel(Path(name_or_path).stem, read_table(_text(str(name_or_path)), str(name_or_path)))
    return HardwareModel(read_description(name_or_path))


def read_description(name_or_path: str | Path) -> Description:
    """Read and validate a description.

    Raises:
        HardwareError: as `load`.
    """
    name = str(name_or_path)
    if name in available():
        built_in = files("rlcompress.hw_models") / "descriptions" / f"{name}.yaml"
        return parse_description(built_in.read_text(encoding="utf-8"), name)
    if not Path(name).suffix:
        raise HardwareError(f"hardware {name!r} is unknown; choose from {', '.join(available())}, or give a YAML file")
    return parse_description(_text(name), name)


def parse_description(text: str, source: str) -> Description:
    """Validate a YAML document; ``source`` says in messages where it came from.

    Raises:
        HardwareError: the text is not YAML, or a key is unknown, missing or out of range.
    """
    try:
        if "*" in text and any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise HardwareError(f"{source}: a description has no aliases (*name); write the value out")
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise HardwareError(f"{source}: not valid YAML ({problem})") from None
    if not isinstance(values, dict):
        raise HardwareError(f"{source}: a description is a mapping with the keys {', '.join(Description.model_fields)}")
    try:
        return Description(**values)
    except ValidationError as error:
        place = error.errors(include_url=False)[0]["loc"]
        raise HardwareError(f"{source}: line {_line(text, place)}: {_problem(error)}") from None
    except TypeError as error:
        raise HardwareError(f"{source}: keys must be words ({error})") from None


def _problem(error: ValidationError) -> str:
    """The first problem as path, what is wrong, and the mend."""
    place = error.errors(include_url=False)[0]["loc"]
    problem = first_problem(error)
    for part, choice in itertools.pairwise(place):
        if part in _UNIONS:
            problem = problem.replace(f"{part}.{choice}", str(part), 1)
    for said, mend in _MENDS.items():
        problem = problem.replace(said, mend)
    return problem


def _line(text: str, place: tuple[int | str, ...]) -> int:
    """Line of the innermost key of ``place`` that the document has."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line = int(node.start_mark.line)
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is not None:
                line, node = int(found[0].start_mark.line), found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = int(node.start_mark.line)
    return line + 1


def _text(path: str) -> str:
    try:
        if Path(path).stat().st_size > _MAX_FILE_BYTES:
            raise HardwareError(f"{path}: larger than {_MAX_FILE_BYTES} bytes, so it is no description")
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HardwareError(f"{path}: cannot read the description ({error}); give the path of a file") from None
