"""`search`: the Python entry point."""

import torch
from torch import nn

from rlcompress.data import DataSplits, load_data
from rlcompress.hw_models import HardwareModel
from rlcompress.hw_models import load as load_hardware
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import trace
from rlcompress.searches.folder import RunFolder
from rlcompress.searches.result import SearchResult
from rlcompress.searches.run import OnProgress, run_search
from rlcompress.searches.settings import SearchSettings


def search(
    model: nn.Module,
    data: DataSplits | str,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    hardware: str | HardwareModel = "scalable_sparse_16x32",
    out: str | None = None,
    on_progress: OnProgress | None = None,
    settings: SearchSettings | None = None,
    **changes: object,
) -> SearchResult:
    """Search a compression policy for a pretrained model.

    Args:
        model: a module that torch.fx can trace, images [N, C, H, W] -> logits [N, classes].
        data: images split by purpose, or a name such as ``digits`` or ``cifar10:DIR``.
        mean: of each channel, on the scale 0 to 1; the input is (byte / 255 - mean) / std.
        std: of each channel, on the same scale.
        hardware: a description's name, a YAML file, or a model.
        out: a new folder to write the run to.
        on_progress: called after every step.
        settings: of the search.
        changes: single settings of `SearchSettings`, when ``settings`` is not given (``max_drop=0.5``).

    Raises:
        RlcompressError: something does not fit; the message says what to do.
    """
    splits = load_data(data) if isinstance(data, str) else data
    settings = settings or SearchSettings(**changes)  # type: ignore[arg-type]
    channels, height, width = splits.search.images.shape[1:]
    card = NetworkCard(
        name=type(model).__name__,
        factory="",
        input_shape=(channels, height, width),
        mean=mean,
        std=std,
        classes=splits.classes,
        description="given as a Python object",
        source="",
    )
    folder = None if out is None else RunFolder(out, {**settings.as_json(), "network": card.name, "data": splits.name})
    traced = trace(model, torch.zeros(1, channels, height, width))
    model_of = load_hardware(hardware) if isinstance(hardware, str) else hardware
    return run_search(traced, card, splits, model_of, settings, folder, on_progress)
