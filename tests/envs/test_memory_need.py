import pytest
import torch

from rlcompress.data import DataSplits, ImageSet
from rlcompress.envs.memory_need import GraphValues, memory_need, memory_shares
from rlcompress.errors import RunError
from rlcompress.memory import MemoryShares
from rlcompress.network.trace import trace
from tests.small_networks import OptionAResNet

NETWORK = trace(OptionAResNet(), torch.zeros(1, 3, 8, 8))
IMAGES = ImageSet(torch.zeros(40, 3, 8, 8, dtype=torch.uint8), torch.zeros(40, dtype=torch.int64))
DATA = DataSplits(IMAGES, IMAGES, lambda: IMAGES, "zeros", 10)


def test_a_chain_keeps_two_values_alive() -> None:
    chain = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 8, 1), torch.nn.Conv2d(8, 2, 1))
    values = GraphValues.of(trace(chain, torch.zeros(1, 3, 5, 5)).graph)
    assert values.largest == 8 * 25
    assert values.alive == (4 + 8) * 25
    assert values.every >= (3 + 4 + 8 + 2) * 25


def test_learned_rounding_and_synthesis_need_more() -> None:
    t0, t1, t2 = (memory_need(NETWORK, DATA, repair) for repair in ("t0", "t1", "t2"))
    assert t1.process <= t0.process
    assert t1.process < t2.process
    assert t1.shared > sum(4 * spec.weights for spec in NETWORK.layers.values())


def test_without_a_budget_the_bounds_are_fixed() -> None:
    assert memory_shares(NETWORK, DATA, None, "t1", 1) == MemoryShares()


def test_workers_share_a_budget() -> None:
    alone, shared = (memory_shares(NETWORK, DATA, "6G", "t1", workers) for workers in (1, 4))
    assert 0 < shared.bank < alone.bank / 5


def test_a_budget_that_is_too_small_names_network_and_mend() -> None:
    with pytest.raises(RunError, match=r"memory 100M is too small for OptionAResNet at 3x8x8; give at least \d+M"):
        memory_shares(NETWORK, DATA, "100M", "t1", 1)
