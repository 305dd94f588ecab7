"""Weights of networks: reading files without running code from them, and loading them with plain words on misfits."""

import difflib
import pickle
import pkgutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rlcompress.errors import NetworkError
from rlcompress.network.cards import CARDS, NetworkCard, get_card

StateDict = Mapping[str, Tensor]


def build(name: str, weights_path: str | Path | None = None) -> tuple[nn.Module, NetworkCard]:
    """Make a built-in network in evaluation mode; the number of classes is told from the weights.

    Args:
        name: a built-in network's name.
        weights_path: file that `read_state_dict` accepts; None leaves the random initial weights.

    Returns:
        The network, and its card with the class count and normalisation of these weights.

    Raises:
        NetworkError: unknown name, or a file that cannot be read or does not fit.
    """
    card = get_card(name)
    if weights_path is None:
        return _make(card).eval(), card
    state_dict = read_state_dict(weights_path)
    module, card = _make_for(card, state_dict)
    try:
        load_weights(module, state_dict, str(weights_path))
    except NetworkError as error:
        fitting = [other for other in CARDS if other != name and _fits(CARDS[other], state_dict)]
        if not fitting:
            raise
        raise NetworkError(f"{error}; they fit --network {fitting[0]}") from error
    return module.eval(), card


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors from a safetensors file or a torch file; no code in the file is ever run.

    A torch file may hold them one level down, at ``state_dict``; ``module.`` before all names is dropped.

    Raises:
        NetworkError: the file is missing, unreadable, needs code to be read, or holds no named tensors.
    """
    try:
        content = _read(path)
    except OSError as error:
        raise NetworkError(f"weights {path}: {error.strerror or error}; give a safetensors or torch file") from error
    except pickle.UnpicklingError as error:
        raise NetworkError(
            f"weights {path}: not a plain state dict, and code in a file is never run; write it anew with "
            "torch.save(model.state_dict(), FILE) or as safetensors"
        ) from error
    except Exception as error:  # a damaged file can raise anything
        raise NetworkError(
            f"weights {path}: damaged, or not a file of tensors; give safetensors or what "
            "torch.save(model.state_dict(), FILE) writes"
        ) from error
    return _named_tensors(content, path)


def load_weights(module: nn.Module, state_dict: StateDict, source: str) -> None:
    """Copy weights into a network, all of them or none.

    BatchNorm's ``num_batches_tracked`` may be absent: inference does not use it.

    Args:
        module: network to fill, in place.
        state_dict: tensors by the names of ``module.state_dict()``.
        source: where they come from, for messages.

    Raises:
        NetworkError: names or shapes differ, or a tensor that should be floating point is not, or is not finite.
    """
    wanted = _without_counters(module.state_dict())
    given = _without_counters(state_dict)
    _check_names(wanted, given, source)
    for name, tensor in given.items():
        _check_tensor(name, tensor, wanted[name], source)
    module.load_state_dict(given, strict=False)


def _read(path: str | Path) -> Any:
    with open(path, "rb") as file:
        is_safetensors = file.read(9)[8:] == b"{"
    if is_safetensors:
        return load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of newer pickle protocols, which work where they matter
        return torch.load(path, map_location="cpu", weights_only=True)


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


def _without_counters(state_dict: StateDict) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state_dict.items() if not name.endswith("num_batches_tracked")}


def _check_names(wanted: StateDict, given: StateDict, source: str) -> None:
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    if not missing and not unexpected:
        return
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(wanted)} tensors missing (first {_with_closest(missing[0], given)})")
    if unexpected:
        problems.append(f"{len(unexpected)} unexpected (first {_with_closest(unexpected[0], wanted)})")
    raise NetworkError(f"weights {source} belong to another network: {', '.join(problems)}; give this network's own")


def _with_closest(name: str, others: StateDict) -> str:
    close = difflib.get_close_matches(name, others, n=1)
    return f"{name!r}, closest {close[0]!r}" if close else repr(name)


def _check_tensor(name: str, tensor: Tensor, wanted: Tensor, source: str) -> None:
    if tensor.shape != wanted.shape:
        raise NetworkError(
            f"weights {source} belong to another network: {name!r} has shape {tuple(tensor.shape)} in place of "
            f"{tuple(wanted.shape)}; give this network's own"
        )
    if not wanted.is_floating_point():
        return
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.device.type != "cpu":
        kind = str(tensor.dtype).removeprefix("torch.")
        raise NetworkError(f"weights {source}: {name!r} is {kind}, not plain floating point; give the float network")
    if not bool(torch.isfinite(tensor.float()).all()):
        raise NetworkError(f"weights {source}: {name!r} holds NaN or infinite values; give a network that was trained")


def _make(card: NetworkCard) -> nn.Module:
    factory = pkgutil.resolve_name(card.factory)
    module: nn.Module = factory() if card.classes is None else factory(classes=card.classes)
    return module


def _make_for(card: NetworkCard, state_dict: StateDict) -> tuple[nn.Module, NetworkCard]:
    """The network with as many classes as the weights' last linear layer has rows."""
    module = _make(card)
    if card.classes is None:
        return module, card
    classifier = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)][-1]
    weight = state_dict.get(f"{classifier}.weight")
    if weight is None or weight.ndim != 2 or len(weight) in (0, card.classes):
        return module, card
    card = card.with_classes(len(weight))
    return _make(card), card


def _fits(card: NetworkCard, state_dict: StateDict) -> bool:
    with torch.device("meta"):
        module, _ = _make_for(card, state_dict)
    shapes = [
        {name: tensor.shape for name, tensor in _without_counters(tensors).items()}
        for tensors in (module.state_dict(), state_dict)
    ]
    return shapes[0] == shapes[1]
