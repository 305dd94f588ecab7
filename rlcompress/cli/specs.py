"""Layer specs for the energy command."""

from collections.abc import Sequence

from rlcompress.errors import NetworkError
from rlcompress.network.cards import get_card
from rlcompress.network.spec_cards import built_in_specs
from rlcompress.spec import LayerSpec


def network_specs(name: str, input_shape: str | None) -> Sequence[LayerSpec]:
    """Specs of a built-in network, read from its card unless another input shape is asked for.

    Raises:
        NetworkError: an unknown network, or an input shape that it does not accept.
    """
    card = get_card(name)
    shape = card.input_shape if input_shape is None else _parsed(input_shape)
    if shape == card.input_shape:
        return built_in_specs(name)
    import torch

    from rlcompress.network.trace import trace
    from rlcompress.network.weights import build

    try:
        example = torch.zeros(1, *shape)
    except RuntimeError:
        raise NetworkError(
            f"an input of shape {shape} does not fit into memory; give a smaller --input-shape"
        ) from None
    return trace(build(name)[0], example, name=name).specs


def _parsed(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise NetworkError(f"input shape {text!r} is not C,H,W; write for example 3,32,32")
    return tuple(int(part) for part in parts)
