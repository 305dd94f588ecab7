"""From the command line's names to networks and settings."""

from pathlib import Path

import torch

from rlcompress.errors import DataError
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import TracedNetwork, trace
from rlcompress.network.weights import build


def traced_network(name: str, weights: Path | None) -> tuple[TracedNetwork, NetworkCard]:
    """A built-in network with weights, traced at its card's input shape."""
    module, card = build(name, weights)
    return trace(module, torch.zeros(1, *card.input_shape), name=card.name), card


def check_data_fits(card: NetworkCard, classes: int, shape: tuple[int, ...]) -> None:
    """Check that images [C, H, W] and their classes are what a network was made for.

    Raises:
        DataError: they are not.
    """
    if shape != card.input_shape:
        raise DataError(f"images have shape {shape}, but {card.name} takes {card.input_shape}; use other data")
    if card.classes is not None and classes != card.classes:
        raise DataError(f"the data has {classes} classes, but the network {card.classes}; use its own data or weights")


def one_thread() -> None:
    """Let torch compute in one thread: results then do not depend on the number of cores."""
    torch.set_num_threads(1)
