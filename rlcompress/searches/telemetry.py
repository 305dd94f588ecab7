"""`Telemetry`: a search in TensorBoard, all of it in one file of events."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from matplotlib.figure import Figure
from stable_baselines3.common.logger import KVWriter, Logger
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from rlcompress.envs import Outcome
from rlcompress.report.costs import saved_pct


class Telemetry:
    """Writes scalars, figures and hyper-parameters of a search to a folder's events and to the caller's logger.

    Scalars: ``search/energy_saved_pct`` (against dense 8 bits), ``search/saved_pct`` (of the target),
    ``search/best_saved_pct`` (within the allowed drop), ``search/drop`` and ``search/logit_mse``, at each evaluation;
    ``reward/...`` and the agent's own (``train/...``, ``rollout/...``) at its steps.

    Args:
        folder: for the events; None writes none.
        logger: of Stable-Baselines3; its outputs get all scalars too.
        dense_energy_uj: of dense 8 bits.
    """

    def __init__(self, folder: Path | None, logger: Logger | None, dense_energy_uj: float) -> None:
        self._writer = SummaryWriter(str(folder)) if folder else None
        self._dense_energy_uj = dense_energy_uj
        self._outputs: list[KVWriter] = [*(logger.output_formats if logger else ())]
        if self._writer is not None:
            self._outputs.append(EventWriter(self._writer))
        self._logger = Logger(None, self._outputs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def agent_logger(self) -> Logger:
        """A logger of its own for an agent, whose steps are not evaluations, with the same outputs."""
        return Logger(None, self._outputs)

    def write(self, outcome: Outcome, best_saved_pct: float) -> None:
        """Add an evaluation; ``best_saved_pct`` is the best so far within the allowed drop."""
        scalars = {
            "energy_saved_pct": saved_pct(self._dense_energy_uj, outcome.energy_uj),
            "saved_pct": outcome.saved_pct,
            "best_saved_pct": best_saved_pct,
            "drop": outcome.score.drop,
            "logit_mse": outcome.score.logit_mse,
        }
        for name, value in scalars.items():
            self._logger.record(f"search/{name}", value)
        self._logger.dump(outcome.number)

    def finish(self, figures: dict[str, Figure], settings: dict[str, Any], metrics: dict[str, Any]) -> None:
        """Add figures, and the settings beside the final metrics, once at the end."""
        if self._writer is None:
            return
        for name, figure in figures.items():
            self._writer.add_figure(name, figure)
        plain = {key: _plain(value) for key, value in settings.items() if value is not None}
        # add_hparams would begin a file of its own
        final = {f"final/{name}": value for name, value in metrics.items() if isinstance(value, int | float)}
        for summary in hparams(plain, final):
            self._writer._get_file_writer().add_summary(summary)
        for name, value in final.items():
            self._writer.add_scalar(name, value)


class EventWriter(KVWriter):
    """An output of Stable-Baselines3's logger that writes scalars to events which others write to as well."""

    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write the scalars among the values."""
        for key, value in key_values.items():
            if isinstance(value, int | float | np.number) and "tensorboard" not in (key_excluded.get(key) or ()):
                self._writer.add_scalar(key, value, step)

    def close(self) -> None:
        """Leave the events open: they belong to the search."""


def _plain(value: Any) -> str | float | bool:
    if isinstance(value, bool | int | float | str):
        return value
    return ", ".join(map(str, value)) if isinstance(value, Sequence) else str(value)
