"""Reading files of weights: safetensors, or what ``torch.save`` writes, without running code from them.

Before torch reads a file with ``weights_only``, the file's frame and its pickle are looked through: what could take
more memory than the file has bytes, or never end, is refused.
"""

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from rlcompress.errors import NetworkError
from rlcompress.files import LimitError, check_size, reason
from rlcompress.pickles import UnsafeError, read_pickle
from rlcompress.tensor_files import read_safetensors

_MAX_FILE_BYTES = 4_000_000_000
_MAX_PICKLE_BYTES = 20_000_000
_MAX_ENTRIES = 65_534
_PICKLES_BEFORE_2020 = 5  # magic number, protocol, system, tensors, names of their storages
_MEND = "write it anew with torch.save(model.state_dict(), FILE) or as safetensors"


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors from a safetensors file or a torch file; no code in the file is ever run.

    A torch file may hold them one level down, at ``state_dict``; ``module.`` before all names is dropped.

    Raises:
        NetworkError: the file is missing, unreadable, needs code to be read, or holds no named tensors.
    """
    try:
        content = _read(path)
    except UnsafeError as error:
        raise NetworkError(f"weights {path}: {error}, code in a file is never run; {_MEND}") from None
    except LimitError as error:
        raise NetworkError(
            f"weights {path}: damaged, or not a file of tensors ({error}); give safetensors or what "
            "torch.save(model.state_dict(), FILE) writes"
        ) from None
    except OSError as error:
        raise NetworkError(f"weights {path}: {reason(error)}; give a safetensors or torch file") from None
    return _named_tensors(content, path)


def _read(path: str | Path) -> Any:
    size = check_size(path, _MAX_FILE_BYTES)
    with open(path, "rb") as file:
        start = file.read(9)
        if start[8:] == b"{":
            return read_safetensors(path, _MAX_FILE_BYTES)[0]
        file.seek(0)
        _check_zip(file, size) if start.startswith(b"PK") else _check_pickles(file, _PICKLES_BEFORE_2020)
    content = _loaded(path)
    if _storage_bytes(content) > size:
        raise LimitError("its tensors are larger than the file")
    return content


def _loaded(path: str | Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of newer pickle protocols, which work where they matter
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file can raise anything
            if "weights_only" in str(error).lower():
                raise UnsafeError("not a plain state dict") from None
            raise LimitError("it is damaged") from None


def _check_zip(file: BinaryIO, size: int) -> None:
    """Hold a zip's directory against the file: torch stores its records as they are, each once."""
    file.seek(max(0, size - 22))
    end = file.read()
    if not end.startswith(b"PK\5\6") or int.from_bytes(end[8:10], "little") > _MAX_ENTRIES:
        raise LimitError("it is cut short, or no file of torch")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise LimitError("its records are compressed, which torch never does")
            if sum(entry.file_size for entry in entries) > size:
                raise LimitError("its records are larger than the file")
            for entry in entries:
                if entry.filename.endswith("data.pkl"):
                    _check_pickles(io.BytesIO(archive.read(entry)), 1)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        if isinstance(error, LimitError):
            raise
        raise LimitError("it is damaged") from None


def _check_pickles(file: BinaryIO, count: int) -> None:
    stream = io.BytesIO(file.read(_MAX_PICKLE_BYTES))
    for _ in range(count):
        read_pickle(stream, _may_name)


def _may_name(name: str) -> bool:
    return name.startswith("torch.") or name == "collections.OrderedDict"


def _storage_bytes(content: Any) -> int:
    """Bytes of all storages in a content of nested dictionaries and lists; each counts once."""
    sizes: dict[int, int] = {}
    seen: set[int] = set()
    stack = [content]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu":
            storage = value.untyped_storage()
            sizes[storage._cdata] = storage.nbytes()
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list | tuple):
            stack.extend(value)
    return sum(sizes.values())


def _named_tensors(content: Any, path: str | Path) -> dict[str, Tensor]:
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    named = isinstance(content, dict) and all(isinstance(name, str) for name in content)
    if not (named and content and all(isinstance(tensor, Tensor) for tensor in content.values())):
        raise NetworkError(
            f"weights {path}: holds no named tensors; write it with torch.save(model.state_dict(), FILE)"
        )
    prefix = "module." if all(name.startswith("module.") for name in content) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in content.items()}
