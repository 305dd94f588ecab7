"""TensorBoard scalars of a search."""

from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from rlcompress.envs import Outcome


class Telemetry:
    """Writes one point an evaluation to TensorBoard's events in a folder; without a folder, nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._writer = SummaryWriter(str(folder)) if folder else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, outcome: Outcome, best_saved_pct: float) -> None:
        """Add an evaluation; ``best_saved_pct`` is the best so far within the allowed drop."""
        if self._writer is None:
            return
        scalars = {
            "search/saved_pct": outcome.saved_pct,
            "search/drop": outcome.score.drop,
            "search/logit_mse": outcome.score.logit_mse,
            "search/best_saved_pct": best_saved_pct,
        }
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, outcome.number)
