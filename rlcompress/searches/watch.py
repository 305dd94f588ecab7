"""`Watch`: who looks at an agent while it learns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import MaybeCallback

Agent = TypeVar("Agent", bound=BaseAlgorithm)


def _save_zip(agent: BaseAlgorithm, folder: Path) -> None:
    agent.save(folder / "agent.zip")


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
    def over(self, agent: Agent, save: Callable[[Agent, Path], object] = _save_zip) -> Iterator[None]:
        """While the context lasts the agent logs here; however it ends, the agent is saved into the folder.

        Args:
            agent: that learns.
            save: writes it into a folder; as Stable-Baselines3's agent.zip by default.
        """
        agent.set_logger(self.logger)
        try:
            yield
        finally:
            if self.folder is not None:
                save(agent, self.folder)

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
