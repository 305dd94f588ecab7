"""Whether data and network belong together."""

from rlcompress.data.splits import DataSplits
from rlcompress.errors import DataError
from rlcompress.network.cards import NetworkCard


def check_data_fits(card: NetworkCard, data: DataSplits) -> None:
    """Check that images and their classes are what a network was made for.

    A network whose output is an image takes images of any size.

    Raises:
        DataError: they are not.
    """
    shape, wanted = tuple(data.search.images.shape[1:]), card.input_shape
    if shape != wanted and (card.classes is not None or shape[0] != wanted[0]):
        raise DataError(f"images have shape {shape}, but {card.name} takes {wanted}; use other data")
    if card.classes is not None and data.classes is not None and data.classes != card.classes:
        raise DataError(
            f"the data has {data.classes} classes, but the network {card.classes}; use its own data or weights"
        )
    if data.classes is not None and card.classes is None:
        raise DataError(f"the data has class numbers as labels, but {card.name} gives images; use other data")
