"""Safetensors files: named tensors beside a few strings, read without running anything."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rlcompress.files import LimitError, check_size, write_atomic

_MAX_HEADER_BYTES = 10_000_000  # a thousand times a ResNet-50's


def read_safetensors(path: str | Path, most: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and the strings beside them.

    The library holds offsets against shapes, types and the file's length; what it does not bound is bounded here.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        LimitError: it is too large, or not a whole safetensors file.
        OSError: it cannot be read.
    """
    size = check_size(path, most)
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if not 2 <= header <= min(size - 8, _MAX_HEADER_BYTES):
        raise LimitError("its header does not fit the file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise LimitError(f"it is damaged ({' '.join(str(error).split())[:120]})") from None


def write_safetensors(path: str | Path, tensors: Mapping[str, Tensor], strings: Mapping[str, str]) -> None:
    """Write such a file in one step.

    Raises:
        OSError: it cannot be written.
    """
    own = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, save(own, dict(strings)))
