import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from torch import nn

from rlcompress import hw_models
from rlcompress.data import DataSplits, load_data
from rlcompress.envs import Problem, ProblemSettings
from rlcompress.network.builtin.digits_training import train_digits_cnn
from rlcompress.network.cards import NetworkCard, get_card
from rlcompress.network.trace import TracedNetwork, trace
from rlcompress.threads import one_thread

SHARED = Path(__file__).resolve().parents[2] / "shared"

settings.register_profile("rlcompress", deadline=None)  # the first example of a property pays for imports and caches
settings.load_profile("rlcompress")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other are many times slower when other work shares the cores."""
    with one_thread():
        yield


class Real:
    """Folders of the real weights and images, unpacked into their official layouts when a test asks for them."""

    def __init__(self, shared: Path, out: Path) -> None:
        self.weights, self.data, self._out = shared / "weights", shared / "data", out

    def _unpacked(self, *names: str) -> Path:
        command = [sys.executable, str(self.data / "unpack.py"), str(self._out), *names]
        subprocess.run(command, check=True)
        return self._out

    @cached_property
    def cifar(self) -> Path:
        """Holds CIFAR-10's and CIFAR-100's folders."""
        return self._unpacked("cifar10", "cifar100")

    @cached_property
    def imagenet(self) -> Path:
        """Holds ``train`` and ``val``."""
        return self._unpacked("imagenet") / "imagenet"

    @cached_property
    def set5(self) -> Path:
        """Holds ``set5.npz``."""
        return self._unpacked("set5")


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    """The real weights and images; tests that want them skip where they are not."""
    if not SHARED.is_dir():
        pytest.skip("../shared, which holds the real weights and data, is not beside the repository")
    return Real(SHARED, tmp_path_factory.mktemp("unpacked"))


@dataclass(frozen=True)
class Digits:
    """A trained digits CNN with its data."""

    model: nn.Module
    card: NetworkCard
    splits: DataSplits
    network: TracedNetwork

    def problem(self, **settings: Any) -> Problem:
        """A fresh problem on the default accelerator, scored on few images; measured once a test session."""
        return _problem(self, ProblemSettings(**{"score_images": 200, **settings})).fresh()


@cache
def _problem(digits: Digits, settings: ProblemSettings) -> Problem:
    hardware = hw_models.load("scalable_sparse_16x32")
    return Problem.of(digits.network, digits.card, digits.splits, hardware, settings)


@pytest.fixture(scope="session")
def digits(_one_thread: None) -> Digits:
    card, splits = get_card("digits_cnn"), load_data("digits")
    images = splits.search.normalized(slice(None), card.mean, card.std)
    model = train_digits_cnn(images, splits.search.labels, seed=0)
    return Digits(model, card, splits, trace(model, images[:1], name="digits_cnn"))


@pytest.fixture
def problem(digits: Digits) -> Problem:
    return digits.problem()
