"""Weights of networks: building a network with them, with plain words on misfits."""

import difflib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from rlcompress.errors import NetworkError
from rlcompress.network.cards import CARDS, NetworkCard, get_card
from rlcompress.network.weight_files import read_state_dict

StateDict = Mapping[str, Tensor]

_MOST_CLASSES = 100_000


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
    if weight is None or weight.ndim != 2 or len(weight) == card.classes or not 0 < len(weight) <= _MOST_CLASSES:
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
