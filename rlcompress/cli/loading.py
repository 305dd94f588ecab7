"""Checks between the command line's inputs."""

from rlcompress.errors import DataError
from rlcompress.network.cards import NetworkCard


def check_data_fits(card: NetworkCard, classes: int, shape: tuple[int, ...]) -> None:
    """Check that images [C, H, W] and their classes are what a network was made for.

    Raises:
        DataError: they are not.
    """
    if shape != card.input_shape:
        raise DataError(f"images have shape {shape}, but {card.name} takes {card.input_shape}; use other data")
    if card.classes is not None and classes != card.classes:
        raise DataError(f"the data has {classes} classes, but the network {card.classes}; use its own data or weights")
