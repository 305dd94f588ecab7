"""Operations in place whose operands are read again."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rlcompress.network.trace import trace
from tests.small_networks import Net, conv, images

SHAPE = (3, 8, 8)


def pre_activation(s, x):
    x = s.a(x)
    return F.relu(s.b(s.relu(x)) + x)  # the sum reads what the ReLU has overwritten


def twice(s, x):
    x = s.a(x)
    before = x + 1.0
    x.relu_()
    F.hardtanh(x, 0.1, 0.7, True)
    return before * s.b(x) + F.threshold_(x, 0.2, 0.0)


def counted(s, x):
    count = x.size(1)
    more = count
    more += 1
    return s.a(x) * count / more


BODIES = {
    "pre-activation": pre_activation, "twice": twice, "a plain number": counted,
    "halved": lambda s, x: (kept := s.a(x)).mul_(0.5) * kept,
    "by name": lambda s, x: F.leaky_relu(kept := s.a(x), inplace=True) + kept,
    "torch function": lambda s, x: torch.relu_(kept := s.a(x)) * kept,
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_later_readers_see_the_result(name):
    network = Net(
        lambda s, x: s.fc(BODIES[name](s, x).mean((2, 3))), a=conv(3, 4), b=conv(4, 4), relu=nn.ReLU(inplace=True),
        fc=nn.Linear(4, 5),
    )  # fmt: skip
    x = images(3, *SHAPE)
    graph = trace(network, torch.zeros(1, *SHAPE)).graph
    with torch.no_grad():
        torch.testing.assert_close(graph(x.clone()), network(x.clone()))
