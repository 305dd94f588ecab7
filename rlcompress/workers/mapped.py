"""Objects written for other processes of this program: tensors go into one file that all processes map.

What is read here is what the same program has just written into a folder that only its user can read.
"""

import io
import pickle
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from rlcompress.errors import WorkerError
from rlcompress.plugins import file_of, resolve

_ALIGNMENT = 64  # bytes
_OBJECT, _TENSORS = "object.pkl", "tensors.bin"


def write_mapped(thing: object, folder: Path) -> None:
    """Write an object into a folder.

    Raises:
        WorkerError: it holds what cannot be pickled (a lambda, a function inside a function), or the disk is full.
    """
    try:
        with open(folder / _OBJECT, "wb") as file, open(folder / _TENSORS, "wb") as tensors:
            _Pickler(file, tensors).dump(thing)
            tensors.write(b"\0" * _ALIGNMENT)  # an empty file cannot be mapped
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise WorkerError(
            f"cannot be handed to workers: {' '.join(str(error).split())}; define metric and network in a module, or "
            "use one worker"
        ) from None
    except OSError as error:
        raise WorkerError(f"cannot write to {folder} ({error.strerror}); make room there or use one worker") from None


def check_can_go(thing: object) -> None:
    """Check that an object can be handed to workers, before there is work for them.

    Raises:
        WorkerError: see `write_mapped`.
    """
    with tempfile.TemporaryDirectory(prefix="rlcompress-workers-") as folder:
        write_mapped(thing, Path(folder))


def read_mapped(folder: Path) -> Any:
    """The object; its tensors are the file's pages, copied where this process changes them."""
    pages = torch.from_numpy(np.memmap(folder / _TENSORS, np.uint8, mode="c"))
    with open(folder / _OBJECT, "rb") as file:
        return _Unpickler(file, pages).load()


def to_bytes(thing: object) -> bytes:
    """An object for another process, tensors and graph modules included."""
    content, tensors = io.BytesIO(), io.BytesIO()
    _Pickler(content, tensors).dump(thing)
    return pickle.dumps((content.getvalue(), tensors.getvalue()))


def from_bytes(data: bytes) -> Any:
    """The object that `to_bytes` has packed."""
    content, tensors = pickle.loads(data)
    pages = torch.frombuffer(bytearray(tensors or b"\0"), dtype=torch.uint8)
    return _Unpickler(io.BytesIO(content), pages).load()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor lies in the file."""

    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Pickler(pickle.Pickler):
    def __init__(self, file: BinaryIO, tensors: BinaryIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._tensors = tensors

    def persistent_id(self, obj: Any) -> _Place | None:
        return self._written(obj) if type(obj) is Tensor else None

    def _written(self, tensor: Tensor) -> _Place:
        dense = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
        tensor = tensor.detach()
        if dense + 1 != tensor.numel():  # a part of a larger tensor, or an empty one
            tensor = tensor.contiguous()
        flat = tensor.as_strided((tensor.numel(),), (1,))
        self._tensors.write(b"\0" * (-self._tensors.tell() % _ALIGNMENT))
        place = _Place(self._tensors.tell(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        self._tensors.write(flat.view(torch.uint8).numpy().data)
        return place

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, fx.GraphModule):
            return _reduced_graph(obj)
        return _reduced_name(obj) if isinstance(obj, type | FunctionType) else NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, pages: Tensor) -> None:
        super().__init__(file)
        self._pages = pages

    def persistent_load(self, pid: _Place) -> Tensor:
        size = pid.dtype.itemsize * int(np.prod(pid.shape))
        flat = self._pages[pid.offset : pid.offset + size].view(pid.dtype)
        return flat.as_strided(pid.shape, pid.stride)


@dataclass(frozen=True, slots=True)
class _Reference:
    """Stands for a node among another one's arguments."""

    name: str


Rows = list[tuple[str, str, Any, Any, Any, dict[str, Any]]]


def _reduced_graph(module: fx.GraphModule) -> tuple[Any, ...]:
    """A graph module as its nodes: torch's own reduction traces again, and loses their names and meta data."""
    rows: Rows = []
    for node in module.graph.nodes:
        operands = map_aggregate((node.args, dict(node.kwargs)), _referred)
        rows.append((node.op, node.name, node.target, *operands, dict(node.meta)))
    parts = module._parameters, module._buffers, module._modules
    return _rebuilt_graph, (parts, rows, module.training)


def _reduced_name(thing: type | FunctionType) -> Any:
    """A class or function of a file that was imported by its path, or one that its module knows by another name."""
    path = file_of(thing)
    if path is not None and "<locals>" not in thing.__qualname__:
        return resolve, (f"{path}:{thing.__qualname__}", type(thing).__name__, WorkerError)
    known = getattr(sys.modules.get(thing.__module__), thing.__name__, None)
    return thing.__name__ if known is thing else NotImplemented  # such as torch.nn.functional.max_pool2d


def _referred(argument: Any) -> Any:
    return _Reference(argument.name) if isinstance(argument, fx.Node) else argument


def _rebuilt_graph(parts: tuple[Any, ...], rows: Rows, training: bool) -> fx.GraphModule:
    graph, root = fx.Graph(), nn.Module()
    root._parameters, root._buffers, root._modules = parts
    nodes: dict[str, fx.Node] = {}
    for op, name, target, args, kwargs, meta in rows:
        operands = map_aggregate(
            (args, kwargs), lambda part: nodes[part.name] if isinstance(part, _Reference) else part
        )
        nodes[name] = graph.create_node(op, target, *operands, name)
        nodes[name].meta.update(meta)
    module = fx.GraphModule(root, graph)
    return module.train(training)
