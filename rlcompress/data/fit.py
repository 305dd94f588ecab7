"""Whether data and network belong together."""

from collections.abc import Sequence

from rlcompress.data.splits import DataSplits
from rlcompress.errors import DataError
from rlcompress.network.cards import NetworkCard


def check_shape(card: NetworkCard, shape: Sequence[int]) -> None:
    """Check that images of a shape (C, H, W) are what a network takes; one whose output is an image takes any size.

    Raises:
        DataError: they are not.
    """
    shape, wanted = tuple(shape), card.input_shape
    if shape != wanted and (card.classes is not None or shape[0] != wanted[0]):
        raise DataError(f"images have shape {shape}, but {card.name} takes {wanted}; use other data")


def check_data_fits(card: NetworkCard, data: DataSplits) -> None:
    """Check that images and their classes are what a network was made for.

    A network whose output is an image takes images of any size.

    Raises:
        DataError: they are not.
    """
    check_shape(card, data.search.images.shape[1:])
    if card.classes is not None and data.classes is not None:
        fewer = data.classes < card.classes and data.counted
        if data.classes != card.classes and not fewer:
            raise DataError(
                f"the data has {data.classes} classes, but the network {card.classes}; use its own data or weights"
            )
    if data.classes is not None and card.classes is None:
        raise DataError(f"the data has class numbers as labels, but {card.name} gives images; use other data")
