"""What is compressed, from names or from Python objects: a traced network, its card, and images by purpose."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.export import ExportedProgram

from rlcompress.data import DataSplits, as_splits, check_data_fits, load_data
from rlcompress.errors import HardwareError
from rlcompress.hw_models import HardwareModel, load
from rlcompress.network.cards import InputFormat, NetworkCard
from rlcompress.network.exported import of_program
from rlcompress.network.pretrained import pretrained
from rlcompress.network.trace import TracedNetwork, trace

Subject = tuple[TracedNetwork, NetworkCard, DataSplits]


def named(
    network: str,
    data: str,
    weights: str | None = None,
    metric: str | None = None,
    input_shape: Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Subject:
    """A network and data by their names, as the command line takes them.

    Args:
        network: built-in, or ``package.module:factory`` or ``path/to/file.py:factory`` of a user's own.
        data: such as ``cifar10:DIR``.
        weights: file; a user's factory may load its own.
        metric: in place of the network's.
        input_shape: (C, H, W); that of the data for a user's own network.
        mean: of each channel, on the scale 0 to 1, in place of the network's.
        std: of each channel, on the same scale.

    Raises:
        RlcompressError: something does not fit; the message says what to do.
    """
    splits = load_data(data)
    channels, height, width = input_shape or splits.search.images.shape[1:]
    shape = (channels, height, width) if input_shape or ":" in network else None
    said = InputFormat(shape=shape, mean=mean if mean is None else tuple(mean), std=std if std is None else tuple(std))
    traced, card = pretrained(network, weights, said)
    check_data_fits(card, splits)
    return traced, replace(card, metric=metric or card.metric), splits


def given(
    model: nn.Module | ExportedProgram,
    data: object,
    mean: ArrayLike,
    std: ArrayLike,
    metric: str | Callable[..., Any],
) -> Subject:
    """A model and data as Python objects.

    Args:
        model: a module that torch.fx or torch.export can trace, or an exported program, images [N, C, H, W] -> logits
            [N, classes], or what the metric takes.
        data: training and test data sets as `rlcompress.data.as_splits` takes them, or a name such as ``digits`` or
            ``cifar10:DIR``.
        mean: of each channel, on the scale 0 to 1; the input is (byte / 255 - mean) / std.
        std: of each channel, on the same scale.
        metric: as `rlcompress.evaluation.metric_of` takes it.

    Raises:
        RlcompressError: something does not fit; the message says what to do.
    """
    splits = load_data(data) if isinstance(data, str) else as_splits(data)
    channels, height, width = splits.search.images.shape[1:]
    network = trace(of_program(model), torch.zeros(1, channels, height, width))
    card = NetworkCard(
        name=network.name,
        factory="",
        input_shape=(channels, height, width),
        mean=(),
        std=(),
        classes=splits.classes,
        description="given as a Python object",
        source="",
        metric=metric,
    )
    said = InputFormat(mean=tuple(np.ravel(mean).tolist()), std=tuple(np.ravel(std).tolist()))
    return network, said.applied(card), splits


def accelerator(hardware: object) -> HardwareModel:
    """The model of a description's name or file, or a model as it is.

    Raises:
        HardwareError: it is neither, or as `rlcompress.hw_models.load`.
    """
    if isinstance(hardware, HardwareModel):
        return hardware
    if isinstance(hardware, str | Path):
        return load(hardware)
    raise HardwareError(f"hardware must be a name, a file or a HardwareModel, got {type(hardware).__name__}")
