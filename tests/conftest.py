from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import settings
from torch import nn

from rlcompress import hw_models
from rlcompress.data import DataSplits, load_data
from rlcompress.envs.problem import Problem, ProblemSettings
from rlcompress.network.builtin.digits_training import train_digits_cnn
from rlcompress.network.cards import NetworkCard, get_card
from rlcompress.network.trace import TracedNetwork, trace

settings.register_profile("rlcompress", deadline=None)  # the first example of a property pays for imports and caches
settings.load_profile("rlcompress")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other are many times slower when other work shares the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Digits:
    """A trained digits CNN with its data."""

    model: nn.Module
    card: NetworkCard
    splits: DataSplits
    network: TracedNetwork

    def problem(self, **settings: Any) -> Problem:
        """A fresh problem on the default accelerator, scored on few images; measured once a test session."""
        problem = _problem(self, ProblemSettings(**{"score_images": 200, **settings}))
        return replace(problem, outcomes={}, recorded={}, budget=None, deadline=None, on_outcome=None, _plans={})


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
