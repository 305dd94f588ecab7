from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.results.rows import Row
from benchmarks.results.subjects import NETWORKS, Tested

MakeRow = Callable[..., Row]


@pytest.fixture(autouse=True)
def digits_tested(monkeypatch: pytest.MonkeyPatch) -> Tested:
    """The digits CNN as one more network of the table, with goals of its own."""
    tested = Tested("digits_cnn", "digits_cnn", "digits_cnn", "digits", "digits", goals=(5.0, 2.0), evaluations=4)
    monkeypatch.setitem(NETWORKS, tested.name, tested)
    return tested


@pytest.fixture
def make_row() -> MakeRow:
    """A row of ResNet-20 that saves half of the energy; keyword arguments replace figures."""

    def make(**changes: Any) -> Row:
        head = {"network": "cifar_resnet20", "images": "cifar10", "hardware": "scalable_sparse_16x32", "repair": "t1"}
        search = {"method": "composite", "seed": 0, "goal": 1.0, "evaluations": 200, "minutes": 10.0}
        dense = {"metric": "top1", "metric_test": 91.73, **{f"{key}_8bit": 2.0 for key in _COSTS}}
        wide = {f"{key}_16bit": 4.0 for key in _COSTS}
        drops = {"drop_search": 0.9, "drop_search_error": 0.1, "drop_test": 0.8, "drop_test_error": 0.2}
        found = {**dict.fromkeys(_COSTS, 1.0), **drops, "images_test": 10_000, "policy": "w8a8 e80w6a5"}
        return Row(**{**head, **search, **dense, **wide, **found, **changes})

    return make


@pytest.fixture
def make_missing(make_row: MakeRow) -> MakeRow:
    """A row whose search found no policy."""
    none = dict.fromkeys((*_COSTS, "drop_search", "drop_search_error", "drop_test", "drop_test_error", "images_test"))
    return lambda **changes: make_row(**{**none, "policy": "", **changes})


_COSTS = ("energy_uj", "latency_ms", "weights_kb", "gbops")
