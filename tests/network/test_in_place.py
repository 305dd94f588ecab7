"""Operations in place whose operands are read again, and gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rlcompress.errors import NetworkError
from rlcompress.network.exported import of_program
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


def unlike_any_other(s, x):
    kept = s.a(x).sigmoid()
    return s.b(torch.zeros_like(kept).copy_(kept))  # which there is in place alone


BODIES = {
    "pre-activation": pre_activation, "twice": twice, "a plain number": counted,
    "halved": lambda s, x: (kept := s.a(x)).mul_(0.5) * kept,
    "by name": lambda s, x: F.leaky_relu(kept := s.a(x), inplace=True) + kept,
    "copied": unlike_any_other,
    "gradient of what is overwritten": lambda s, x: torch.relu_(s.a(x)).add_(1.0).mul_(2.0).clamp_(max=3.0) + 1.0,
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
    graph.requires_grad_(True)
    graph(x).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in graph.parameters())


def test_exported_operators_in_place_are_replaced():
    def body(s, x):
        return s.fc(s.a(x).sigmoid_().mul_(2.0).mean((2, 3)))

    network = Net(body, a=conv(3, 4), fc=nn.Linear(4, 5)).eval()
    program = torch.export.export(network, (torch.zeros(2, *SHAPE),))
    graph = trace(of_program(program), torch.zeros(1, *SHAPE)).graph
    x = images(3, *SHAPE)
    torch.testing.assert_close(graph(x), network(x))
    graph.requires_grad_(True)
    graph(x).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in graph.parameters())


def test_what_changes_a_view_is_refused():
    """Whose tensor would keep its values."""

    def body(s, x):
        x = s.a(x).abs()
        x[:, :2].mul_(3.0)
        return s.fc(x.mean((2, 3)))

    with pytest.raises(NetworkError):
        trace(Net(body, a=conv(3, 4), fc=nn.Linear(4, 5)), torch.zeros(1, *SHAPE))
