"""`export`: a stitched network as a file, with its removed channels really removed."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, fx

from rlcompress.errors import NetworkError, RunError
from rlcompress.export import tensors
from rlcompress.export.records import Recording, record
from rlcompress.export.replay import replayed
from rlcompress.files import open_atomic, write_atomic
from rlcompress.integer import lower
from rlcompress.network.cards import NetworkCard
from rlcompress.network.static import make_static
from rlcompress.network.thinning import thinned
from rlcompress.spec import CompressionPolicy

_FARTHEST = 1e-2  # of the outputs; operators without an integer rule may sum in another order, and codes flip by it

Writer = Callable[[Recording, Tensor, Path, dict[str, Any], bool], set[str]]


def export(
    stitched: fx.GraphModule, policy: CompressionPolicy, card: NetworkCard, path: str | Path, format: str,  # noqa: A002
    *, int4: bool = False,
) -> set[str]:  # fmt: skip
    """Write a stitched network to a file that computes what `rlcompress.integer.lower` of it computes.

    Args:
        stitched: from `rlcompress.candidates.Candidates.final`.
        policy: that it was stitched from, written into the file.
        card: its input's shape and normalisation, written into the file.
        path: file to write.
        format: name in `FORMATS`.
        int4: ONNX only: weights of up to 4 bits as INT4, which needs opset 21.

    Returns:
        Operators that the file's usual runtime may compute differently in the last bits; empty if outputs are the
        same bits.

    Raises:
        RunError: unknown format, a file that cannot be written, or weights or activations of more than 8 bits.
        NetworkError: an operator cannot be exported, or a package that the format needs is not installed.
    """
    check_wish(path, format, int4)
    example = torch.zeros(1, *card.input_shape)
    recording = recorded(stitched, example, policy.round_to)
    try:
        return FORMATS[format](recording, example, Path(path), _about(policy, card), int4)
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot write {path} ({error}); give another file with --out") from None


def check_wish(path: str | Path, format: str, int4: bool) -> None:  # noqa: A002  # the option's name
    """Check what can be checked before anything is computed.

    Raises:
        RunError: unknown format, INT4 where there is none, a name like another format's or like none's, or no folder
            to write to.
    """
    if format not in FORMATS:
        raise RunError(f"unknown format {format!r}; choose from {', '.join(FORMATS)}")
    if int4 and format != "onnx":
        raise RunError(f"--int4 is about ONNX files; leave it out for {format}")
    ending = Path(path).suffix
    named = next((name for name, endings in ENDINGS.items() if ending in endings), format)
    if named != format:
        raise RunError(f"{path} is named like a file of {named}, but is to be {format}; change --out or --format")
    if ending and ending not in ENDINGS[format]:
        raise RunError(f"{path} has an unknown ending; {format} files are named {' or '.join(ENDINGS[format])}")
    if Path(path).is_dir():
        raise RunError(f"cannot write {path} (it is a folder); give a file with --out")
    if not Path(path).parent.is_dir():
        raise RunError(f"cannot write {path} (there is no folder {Path(path).parent}); give another file with --out")


def recorded(stitched: fx.GraphModule, example: Tensor, round_to: int = 1) -> Recording:
    """The recording of a stitched network without the channels that nothing reads, for images like ``example``.

    Raises:
        NetworkError: an operator cannot be recorded, or the recording does not compute what the network does.
    """
    small = thinned(stitched, example, round_to)
    make_static(small, example)
    recording = record(small)
    images = torch.randn(2, *example.shape[1:], generator=torch.Generator().manual_seed(0))
    wanted, given = (network(images) for network in (lower(stitched), replayed(recording, "auto")))
    norm = torch.linalg.vector_norm
    if given.shape != wanted.shape or bool(norm(given - wanted) > _FARTHEST * norm(wanted)):
        raise NetworkError(
            "without its removed channels the network computes something else, so that it cannot be exported; search "
            "it with --granularities none,element, and report this"
        )
    return recording


def _about(policy: CompressionPolicy, card: NetworkCard) -> dict[str, Any]:
    """What a user of the file has to know."""
    metric = card.metric if isinstance(card.metric, str) else None  # a function stays where it is
    return {
        "network": {"name": card.name, "classes": card.classes, "metric": metric, "source": card.source},
        "preprocessing": {
            "input_shape": list(card.input_shape), "mean": list(card.mean), "std": list(card.std),
            "rule": "float32 images [N, C, H, W]: (byte / 255 - mean) / std of each channel",
        },
        "policy": json.loads(policy.to_json()),
    }  # fmt: skip


def _write_safetensors(
    recording: Recording, example: Tensor, path: Path, about: dict[str, Any], int4: bool
) -> set[str]:
    tensors.save(recording, path, about)
    return set()


def _write_torch(recording: Recording, example: Tensor, path: Path, about: dict[str, Any], int4: bool) -> set[str]:
    images = example.expand(2, *example.shape[1:]).contiguous()  # a batch of 1 would be built in
    extra = {"rlcompress.json": json.dumps(about)}
    with warnings.catch_warnings(), torch.no_grad(), open_atomic(path) as file:
        warnings.simplefilter("ignore")  # about tensors that share memory, which is meant
        network = replayed(recording, "portable")
        program = torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        torch.export.save(program, file, extra_files=extra)
    return set()


def _write_onnx(recording: Recording, example: Tensor, path: Path, about: dict[str, Any], int4: bool) -> set[str]:
    try:
        from rlcompress.export.onnx_model import to_onnx
    except ImportError as error:
        raise NetworkError(f"ONNX needs the package {error.name!r}; install it, or the extra 'export'") from None
    model, inexact = to_onnx(recording, example, {key: json.dumps(part) for key, part in about.items()}, int4=int4)
    write_atomic(path, model.SerializeToString())
    return inexact


FORMATS: dict[str, Writer] = {"onnx": _write_onnx, "safetensors": _write_safetensors, "torch": _write_torch}
"""File formats by name."""

ENDINGS = {"onnx": (".onnx",), "safetensors": (".safetensors",), "torch": (".torch", ".pt2", ".pt")}
"""How files of each format are named."""
