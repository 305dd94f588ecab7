"""`Watch`: who looks at an agent while it learns."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import MaybeCallback


@dataclass(frozen=True, slots=True)
class Watch:
    """What a learning agent reports to; methods that do not learn report nothing.

    Attributes:
        folder: where the agent is saved when it ends; None keeps nothing.
        logger: takes the agent's figures.
        callback: Stable-Baselines3's callback, callbacks, or function; None for none.
    """

    folder: Path | None = None
    logger: Logger = field(default_factory=lambda: Logger(None, []))
    callback: MaybeCallback = None

    @contextmanager
    def over(self, agent: BaseAlgorithm) -> Iterator[None]:
        """While the context lasts the agent logs here; however it ends, the agent is saved as agent.zip."""
        agent.set_logger(self.logger)
        try:
            yield
        finally:
            if self.folder is not None:
                agent.save(self.folder / "agent.zip")

    @property
    def callbacks(self) -> CallbackList:
        """The caller's callbacks, and one that logs the terms of rewards."""
        given = self.callback or []
        every = given if isinstance(given, list) else [given]
        own = (one if isinstance(one, BaseCallback) else ConvertCallback(one) for one in every)
        return CallbackList([RewardTerms(), *own])


class RewardTerms(BaseCallback):
    """Logs the terms that rewards are sums of, as ``reward/NAME``."""

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            for name, value in info.get("reward_terms", {}).items():
                self.logger.record_mean(f"reward/{name}", value)
        return True
