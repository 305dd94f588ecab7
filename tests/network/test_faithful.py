"""Networks whose operators, run one by one on single images, do not give what the module gives."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rlcompress.errors import NetworkError
from rlcompress.network.trace import trace
from tests.small_networks import Net, conv, images

SHAPE = (3, 8, 8)


def added_in_place(s, x):
    kept = x = F.relu(s.a(x))
    x += s.b(x)
    return x * kept


def view_overwritten(s, x):
    x = s.a(x)
    F.relu_(x.flatten(2))
    return s.b(x)


def written_into(s, x):
    x = F.relu(s.a(x)).clone()
    x[:, :2] = 0.5
    return x


def network(body):
    return Net(
        lambda s, x: s.fc(body(s, x).mean((2, 3))), a=conv(3, 4), b=conv(4, 4), relu=nn.ReLU(inplace=True),
        fc=nn.Linear(4, 5),
    )  # fmt: skip


UNFAITHFUL = {
    "added in place": added_in_place, "view overwritten": view_overwritten, "written into": written_into,
    "dropout": lambda s, x: F.dropout(s.a(x), 0.2),
    "statistics of the batch": lambda s, x: F.batch_norm(s.a(x), None, None, training=True),
    "number of images": lambda s, x: s.a(x) * x.size(0),
    "mean over the batch": lambda s, x: s.a(x) - s.a(x).mean(),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFAITHFUL)
def test_they_are_refused_in_one_line(name):
    with pytest.raises(
        NetworkError, match=r"^Net does not compute the same for every image alone.* by another name, as x \+= y may$"
    ):
        trace(network(UNFAITHFUL[name]), torch.zeros(1, *SHAPE))


def test_a_network_for_one_image_at_a_time_is_refused():
    with pytest.raises(NetworkError, match=r"^forward\(\) builds in the number of images; take it from x.shape\[0\]$"):
        trace(network(lambda s, x: s.a(x).view(1, 4, 8, 8)), torch.zeros(1, *SHAPE))


def test_operations_in_place_that_nobody_sees_are_accepted():
    def body(s, x):
        x = s.relu(s.a(x))
        x += s.b(x)
        return F.dropout(x.mul_(0.5).relu_(), 0.5, s.training, True)

    x = images(3, *SHAPE)
    with torch.no_grad():
        wanted = network(body)(x.clone())
        torch.testing.assert_close(trace(network(body), torch.zeros(1, *SHAPE)).graph(x), wanted)
