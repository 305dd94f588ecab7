"""Built-in networks with weights, traced."""

from pathlib import Path

import torch

from rlcompress.errors import NetworkError
from rlcompress.network.cards import NetworkCard, get_card
from rlcompress.network.trace import TracedNetwork, trace
from rlcompress.network.weights import build


def pretrained(name: str, weights: str | Path | None) -> tuple[TracedNetwork, NetworkCard]:
    """A built-in network with the weights of a file, traced at its card's input shape, and its card.

    Raises:
        NetworkError: an unknown network, no weights, or weights that do not fit.
    """
    if weights is None:
        raise NetworkError(f"{get_card(name).name} is not trained; give its weights with --weights FILE")
    module, card = build(name, weights)
    return trace(module, torch.zeros(1, *card.input_shape), name=card.name), card
