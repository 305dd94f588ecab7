"""`search`: the Python entry point."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import MaybeCallback
from torch import nn
from torch.export import ExportedProgram

from rlcompress.candidates.store import digest_of
from rlcompress.envs.subject import accelerator, given
from rlcompress.errors import RunError
from rlcompress.evaluation import metric_of
from rlcompress.hw_models import DEFAULT_HARDWARE, HardwareModel
from rlcompress.searches.folder import RunFolder
from rlcompress.searches.methods import check_agent_settings
from rlcompress.searches.result import SearchResult
from rlcompress.searches.run import OnProgress, run_search
from rlcompress.searches.settings import SearchSettings


def search(
    model: nn.Module | ExportedProgram,
    data: object,
    *,
    mean: ArrayLike,
    std: ArrayLike,
    metric: str | Callable[..., Any] = "top1",
    hardware: str | HardwareModel = DEFAULT_HARDWARE,
    out: str | Path | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    callback: MaybeCallback = None,
    logger: Logger | None = None,
    **settings: object,
) -> SearchResult:
    """Search a compression policy for a pretrained model.

    Args:
        model: a module that torch.fx or torch.export can trace, or an exported program, images [N, C, H, W] -> logits
            [N, classes], or what the metric takes.
        data: training and test data sets as `rlcompress.data.as_splits` takes them, or a name such as ``digits`` or
            ``cifar10:DIR``.
        mean: of each channel, on the scale 0 to 1; the input is (byte / 255 - mean) / std.
        std: of each channel, on the same scale.
        metric: its name, ``package.module:function``, or a function (outputs, targets) -> [N]; see
            `rlcompress.evaluation.metric_of`.
        hardware: a description's name, a YAML file, or a model.
        out: a new folder to write the run to.
        resume: whether to go on with the run that ``out`` holds, of the same settings, data and weights.
        on_progress: called after every step.
        callback: of Stable-Baselines3 (a `BaseCallback`, a list of them, or a function), for agents that learn.
        logger: of Stable-Baselines3 (``configure(folder, ["stdout", "csv"])``); gets all scalars.
        settings: those of `SearchSettings` and `ProblemSettings` by name (``max_drop=0.5, target="latency"``).

    Raises:
        RlcompressError: something does not fit; the message says what to do.
    """
    if resume and out is None:
        raise RunError("resume goes on with a run in a folder; name that folder by out")
    chosen = SearchSettings.of(settings)
    check_agent_settings(chosen)
    traced, card, splits = given(model, data, mean, std, metric)
    model_of = accelerator(hardware)
    folder = None
    if out is not None:
        names = {"network": card.name, "data": splits.name, "hardware": model_of.name, "metric": metric_of(metric).name}
        inputs = {
            "mean": list(card.mean),
            "std": list(card.std),
            "weights_sha256": digest_of(traced.graph.state_dict()),
        }
        folder = RunFolder(out, {**chosen.as_json(), **names, **inputs}, resume=resume)
    return run_search(traced, card, splits, model_of, chosen, folder, on_progress, callback=callback, logger=logger)
