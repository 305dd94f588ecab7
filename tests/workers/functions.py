"""What the workers of the tests do; processes find it by its name."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rlcompress.errors import DataError


class TwoArgumentsError(Exception):
    """Cannot be made again of what it says."""

    def __init__(self, count: int, of: str) -> None:
        super().__init__(f"{count} {of}")


@dataclass(frozen=True)
class Task:
    """Adds up a tensor, with a trick an item may ask for."""

    values: Tensor
    folder: Path

    def __call__(self, item: tuple[str, int]) -> tuple[int, float]:
        trick, number = item
        if trick == "slow":
            time.sleep(0.2)
        if trick == "fail":
            raise DataError(f"number {number} is odd; take another")
        if trick == "two":
            raise TwoArgumentsError(number, "apples")
        if trick == "lambda":
            raise DataError(lambda: number)
        if trick in ("die", "die once", "hang once") and (trick == "die" or self._first(number)):
            os.kill(os.getpid(), signal.SIGKILL) if trick != "hang once" else time.sleep(600)
        assert torch.get_num_threads() == 1
        return os.getpid(), float(self.values.sum()) + number

    def _first(self, number: int) -> bool:
        mark = self.folder / str(number)
        if mark.exists():
            return False
        mark.touch()
        return True


class Unreadable(Task):
    """Cannot be made again in another process."""

    def __reduce__(self) -> tuple[object, ...]:
        return _missing, ()


def _missing() -> None:
    raise ModuleNotFoundError("No module named 'mine'")
