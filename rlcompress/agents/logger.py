"""Loggers of the composite agent's parts."""

from typing import Any

from stable_baselines3.common.logger import Logger


class PrefixLogger(Logger):
    """Passes a part's records to the agent's logger under ``prefix/``, which alone writes them out."""

    def __init__(self, target: Logger, prefix: str) -> None:
        super().__init__(target.dir, [])
        self._target = target
        self._prefix = prefix

    def record(self, key: str, value: Any, exclude: str | tuple[str, ...] | None = None) -> None:
        """Record ``value`` in the agent's logger as ``prefix/key``."""
        self._target.record(f"{self._prefix}/{key}", value, exclude)

    def record_mean(self, key: str, value: float | None, exclude: str | tuple[str, ...] | None = None) -> None:
        """Average ``value`` in the agent's logger as ``prefix/key``."""
        self._target.record_mean(f"{self._prefix}/{key}", value, exclude)
