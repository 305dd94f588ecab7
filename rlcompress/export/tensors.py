"""The safetensors format: codes and constants as tensors, everything else as JSON in the header."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from rlcompress.errors import NetworkError
from rlcompress.export.records import Record, Recording
from rlcompress.export.replay import replayed
from rlcompress.files import LimitError, parse_json, reason
from rlcompress.integer import IntegerNetwork, engine_named
from rlcompress.tensor_files import read_safetensors, write_safetensors

_MAX_FILE_BYTES = 4_000_000_000
_FORMAT = "rlcompress integer network 1"


def save(recording: Recording, path: str | Path, about: dict[str, Any]) -> None:
    """Write a recording and what is to be known about it."""
    tensors, rows = {}, []
    for record in recording.records:
        for name, tensor in record.tensors.items():
            tensors[f"{record.output}.{name}"] = tensor
        row = {"kind": record.kind, "inputs": list(record.inputs), "output": record.output, **record.settings}
        rows.append({**row, "tensors": list(record.tensors)})
    header = {
        "format": _FORMAT,
        "program": json.dumps({"output": recording.output, "steps": rows}),
        **{key: json.dumps(value) for key, value in about.items()},
    }
    write_safetensors(path, tensors, header)


def load(path: str | Path, *, engine: str = "auto") -> IntegerNetwork:
    """Load an exported safetensors file as a network that runs; no code in the file is ever run.

    Args:
        path: what `rlcompress export --format safetensors` wrote.
        engine: name in `rlcompress.integer.ENGINES`; the outputs do not depend on it.

    Returns:
        A module from normalised images [N, C, H, W] to outputs, the same bits as the network that was exported.

    Raises:
        NetworkError: the file cannot be read or is no exported network.
    """
    return replay(read(path)[0], path, engine)


def replay(recording: Recording, path: str | Path, engine: str) -> IntegerNetwork:
    """The network of a recording that was read from a file.

    Raises:
        NetworkError: the recording does not fit together.
        RunError: the engine is unknown.
    """
    engine_named(engine)
    try:
        return replayed(recording, engine)
    except NetworkError:
        raise
    except Exception as error:  # a damaged recording can go wrong in any step
        said = " ".join(str(error).split())[:160]
        raise NetworkError(f"{path}: the exported network does not fit together ({said}); export it anew") from None


def read(path: str | Path) -> tuple[Recording, dict[str, Any]]:
    """The recording in a file and what is to be known about it.

    Raises:
        NetworkError: the file cannot be read or is no exported network.
    """
    try:
        tensors, header = read_safetensors(path, _MAX_FILE_BYTES)
        if header.get("format") != _FORMAT:
            raise NetworkError(f"{path}: no network that `rlcompress export --format safetensors` wrote")
        program = parse_json(header["program"])
        records = tuple(_record(row, tensors) for row in program["steps"])
        output = int(program["output"])
        about = {key: parse_json(value) for key, value in header.items() if key not in ("format", "program")}
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        said = reason(error) if isinstance(error, OSError | LimitError) else f"{type(error).__name__}: {error}"
        raise NetworkError(f"{path}: cannot read the exported network ({said}); export it anew") from None
    return Recording(records, output), about


def _record(row: dict[str, Any], given: dict[str, Tensor]) -> Record:
    kind, inputs, output = row.pop("kind"), tuple(row.pop("inputs")), int(row.pop("output"))
    tensors = {name: given[f"{output}.{name}"] for name in row.pop("tensors")}
    return Record(kind, inputs, output, row, tensors)
