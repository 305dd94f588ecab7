"""Whether data and network belong together."""

from collections.abc import Sequence

import torch
from torch import Tensor

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
        colour = " (image folders have 3 channels)" if shape[0] == 3 != wanted[0] else ""
        raise DataError(f"images have shape {shape}, but {card.name} takes {wanted}; use other data{colour}")


def check_data_fits(card: NetworkCard, data: DataSplits) -> None:
    """Check that images and their classes are what a network was made for.

    A network whose output is an image takes images of any size, one of a single output labels of any kind.

    Raises:
        DataError: they are not.
    """
    check_shape(card, data.search.images.shape[1:])
    if card.classes == 1:
        return
    if data.classes is None:
        _check_amounts(card, data.search.targets)
    elif card.classes is None:
        raise DataError(f"the data has class numbers as labels, but {card.name} gives images; use other data")
    elif data.classes > card.classes or (data.classes < card.classes and not data.counted):
        raise DataError(
            f"the data has {data.classes} classes, but the network {card.classes}; use its own data or weights"
        )


def _check_amounts(card: NetworkCard, targets: Tensor | None) -> None:
    """Check that targets are no class numbers that became floats by mistake."""
    if card.classes is None or targets is None or targets.dim() > 1:
        return
    if torch.equal(targets, targets.round()):
        raise DataError(
            f"{card.name} names {card.classes} classes, but labels are whole numbers as floats; give class numbers as "
            "int64 [N], amounts as floats [N, 1]"
        )
