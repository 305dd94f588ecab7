"""Layer specs for the energy command."""

import warnings
from collections.abc import Sequence

from rlcompress.cli.loading import input_format
from rlcompress.errors import RlcompressWarning
from rlcompress.network.cards import get_card
from rlcompress.network.spec_cards import built_in_specs
from rlcompress.spec import LayerSpec


def network_specs(name: str, input_shape: str | None) -> Sequence[LayerSpec]:
    """Specs of a network; a built-in one's are read from its card unless another input shape is asked for.

    Raises:
        NetworkError: an unknown network, or an input shape that it does not accept.
    """
    given = input_format(name, input_shape)
    if ":" not in name and given.shape in (None, get_card(name).input_shape):
        return built_in_specs(name)
    from rlcompress.network.pretrained import untrained

    network = untrained(name, given)[0]
    for doubt in network.doubts:
        warnings.warn(doubt, RlcompressWarning, stacklevel=2)
    return network.specs
