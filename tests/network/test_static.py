import pytest
import torch
from torch import fx, nn

from rlcompress.errors import NetworkError
from rlcompress.network.static import make_static
from rlcompress.network.trace import trace
from tests.small_networks import Net, conv, images

SHAPE = (3, 8, 8)


def static(forward):
    network = Net(forward, a=conv(3, 4), fc=nn.Linear(4, 5))
    graph = trace(network, torch.zeros(1, *SHAPE)).graph
    make_static(graph, torch.zeros(1, *SHAPE))
    return network, graph


@pytest.mark.parametrize(
    "forward",
    [
        lambda s, x: s.fc(s.a(x).view(x.size(0), 4, -1).mean(2)),
        lambda s, x: s.fc(s.a(x)[:, :, : x.shape[2] // 2].mean((2, 3))),
        lambda s, x: s.fc((s.a(x) / x.shape[2]).flatten(2).sum(-1)),
        lambda s, x: s.fc(s.a(x / x.std((1, 2, 3), keepdim=True)).view(x.size(0), 4, -1).mean(2)),  # 0 / 0 on black
    ],
)
def test_sizes_become_numbers_and_the_batch_stays_free(forward):
    network, graph = static(forward)
    assert not any(node.meta["plain"] for node in graph.graph.nodes)
    for count in (1, 2, 4):
        x = images(count, *SHAPE)
        torch.testing.assert_close(graph(x), network(x))


def test_computing_with_the_number_of_images_is_refused():
    network = Net(lambda s, x: s.fc((s.a(x) * x.size(0)).mean((2, 3))), a=conv(3, 4), fc=nn.Linear(4, 5))
    with pytest.raises(NetworkError, match="computes with the number of images"):
        make_static(fx.symbolic_trace(network), torch.zeros(1, *SHAPE))


@pytest.mark.parametrize(
    ("ones", "spread"),
    [
        (torch.ones(1, 1), lambda ones, x: ones.expand(x.size(0), 1)),
        (torch.ones(1), lambda ones, x: (2.0 * ones).expand(x.shape[0], -1)),
        (torch.ones(1, 1), lambda ones, x: ones.expand_as(x[:, 0, 0, :1])),
    ],
)
def test_a_constant_for_every_image(ones, spread):
    network = Net(lambda s, x: s.fc(torch.cat([s.a(x).mean((2, 3)), spread(s.ones, x)], 1)))
    network.a, network.fc = conv(3, 4), nn.Linear(5, 5)
    network.register_buffer("ones", ones)
    graph = trace(network.eval(), torch.zeros(1, *SHAPE)).graph
    make_static(graph, torch.zeros(1, *SHAPE))
    assert not any(node.meta["plain"] for node in graph.graph.nodes)
    for count in (1, 4):
        x = images(count, *SHAPE)
        assert torch.equal(graph(x), network(x))


def test_a_constant_of_the_number_of_images_is_refused_without_a_traceback(capfd):
    network = Net(lambda s, x: s.fc(torch.cat([s.a(x).mean((2, 3)), s.ones.repeat(x.size(0), 1)], 1)))
    network.a, network.fc = conv(3, 4), nn.Linear(5, 5)
    network.register_buffer("ones", torch.ones(1, 1))
    graph = trace(network.eval(), torch.zeros(1, *SHAPE)).graph
    with pytest.raises(NetworkError, match="computes with the number of images"):
        make_static(graph, torch.zeros(1, *SHAPE))
    assert capfd.readouterr() == ("", "")
