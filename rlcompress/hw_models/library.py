"""Find and read hardware descriptions."""

from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from rlcompress.errors import HardwareError
from rlcompress.files import LimitError, read_text, reason
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.model import HardwareModel
from rlcompress.hw_models.table import TableModel
from rlcompress.hw_models.table_file import read_table
from rlcompress.yaml_files import mistake, parse_yaml

DEFAULT_HARDWARE = "scalable_sparse_16x32"
"""The accelerator where none is named."""

_MAX_FILE_BYTES = 1_000_000


def available() -> tuple[str, ...]:
    """Names of the built-in descriptions."""
    folder = files("rlcompress.hw_models") / "descriptions"
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load(name_or_path: str | Path, name: str | None = None) -> HardwareModel:
    """The model of a built-in description, of a YAML file, or of a CSV table of measured costs.

    Args:
        name_or_path: of the description.
        name: of a table, which does not hold its own; that of its file by default.

    Raises:
        HardwareError: there is no such description, or it is not valid; the message names the file, the line, the key
            and the mend.
    """
    if str(name_or_path).lower().endswith(".csv"):
        return TableModel(name or Path(name_or_path).stem, read_table(_text(str(name_or_path)), str(name_or_path)))
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
        values, document = parse_yaml(text)
    except LimitError as error:
        raise HardwareError(f"{source}: {error}") from None
    if not isinstance(values, dict):
        raise HardwareError(f"{source}: a description is a mapping with the keys {', '.join(Description.model_fields)}")
    if not all(isinstance(key, str) for key in values):
        raise HardwareError(f"{source}: keys must be words")
    try:
        return Description.model_validate(values)
    except ValidationError as error:
        raise HardwareError(f"{source}: {mistake(error, Description, document)}") from None


def _text(path: str) -> str:
    try:
        return read_text(path, _MAX_FILE_BYTES)
    except (OSError, LimitError) as error:
        raise HardwareError(f"{path}: cannot read the description ({reason(error)}); give the path of a file") from None
