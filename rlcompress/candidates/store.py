"""`BankStore`: what was computed of a network's layers, kept in a folder for other runs."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock
from torch import Tensor

from rlcompress.errors import RlcompressWarning, RunError
from rlcompress.files import LimitError, reason
from rlcompress.tensor_files import read_safetensors, write_safetensors

MOST_BYTES = 4_000_000_000
_LARGEST = 500_000_000  # bytes of a result that is kept; writing it takes twice that of memory
_FOLDER = "rlcompress-bank"  # of its own, since the oldest files in it are deleted
_SUFFIX = ".safetensors"
_RUNS = 8  # that may write at a time, each as much of what is free before it looks at the folder again

Tensors = Mapping[str, Tensor]
Key = Sequence[str | float]


@dataclass(eq=False, slots=True)
class BankStore:
    """Results by key in files, for everything that has the same fingerprint; several runs may use it at a time.

    Attributes:
        folder: where the files are kept, in a folder of their own.
        fingerprint: of all that results depend on beside their keys.
        most_bytes: that the files of all fingerprints may take together; what was not used for longest goes first.

    Raises:
        RunError: the folder cannot be made.
    """

    folder: Path
    fingerprint: str
    most_bytes: int = MOST_BYTES
    _room: int = field(default=0, init=False)  # bytes that may be written before the folder is looked at again

    def __post_init__(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot keep results in {self.folder} ({reason(error)}); give another --cache") from None

    def tensors(self, key: Key, compute: Callable[[], Tensors]) -> dict[str, Tensor]:
        """The tensors of a key, the same bits whether they are read or computed.

        A file that is damaged or cannot be written is warned of, and does no other harm.

        Args:
            key: what is asked for, JSON-able.
            compute: gives it where no run has kept it.
        """
        path = self._path(key)
        try:
            return self._read(path, key)
        except FileNotFoundError:
            pass
        except (OSError, LimitError) as error:
            _warn(f"{path}: cannot use what was kept ({reason(error)}); it is computed again")
        tensors = dict(compute())
        try:
            self._write(path, key, tensors)
        except OSError as error:
            _warn(f"{self.folder}: cannot keep results ({reason(error)}); make room or leave out --cache")
        return tensors

    @property
    def _root(self) -> Path:
        return self.folder / _FOLDER

    def _path(self, key: Key) -> Path:
        digest = hashlib.sha256(f"{self.fingerprint} {json.dumps(key)}".encode()).hexdigest()
        return self._root / f"{digest[:40]}{_SUFFIX}"

    def _read(self, path: Path, key: Key) -> dict[str, Tensor]:
        tensors, strings = read_safetensors(path, self.most_bytes)
        own = {name: tensor.clone() for name, tensor in tensors.items()}  # aligned as computed ones are
        if strings != self._strings(key, own):
            raise LimitError("its content is not what was written")
        with suppress(OSError):  # another run has deleted it meanwhile, or the folder may only be read
            os.utime(path)
        return own

    def _write(self, path: Path, key: Key, tensors: Tensors) -> None:
        size = sum(tensor.nbytes for tensor in tensors.values())
        if size > min(self.most_bytes, _LARGEST):
            return
        with FileLock(self._root / ".lock"):
            if size > self._room:
                self._room = size + self._made_room(self.most_bytes - size) // _RUNS
            self._room -= size
            write_safetensors(path, tensors, self._strings(key, tensors))

    def _made_room(self, most: int) -> int:
        """Bytes left of so many, after deleting the files that were not used for longest if there were none."""
        with os.scandir(self._root) as entries:
            known = [(entry.path, entry.stat()) for entry in entries if entry.name.endswith(_SUFFIX)]
        left = most - sum(stat.st_size for _, stat in known)
        for path, stat in sorted(known, key=lambda file: file[1].st_mtime_ns):
            if left >= 0:
                break
            left += stat.st_size
            os.unlink(path)
        return max(0, left)

    def _strings(self, key: Key, tensors: Tensors) -> dict[str, str]:
        return {"fingerprint": self.fingerprint, "key": json.dumps(key), "sha256": digest_of(tensors)}


def digest_of(tensors: Tensors) -> str:
    """SHA-256 of tensors with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().contiguous().numpy().data)
    return digest.hexdigest()


def _warn(message: str) -> None:
    warnings.warn(message, RlcompressWarning, stacklevel=4)
