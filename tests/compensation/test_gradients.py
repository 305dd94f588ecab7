import pytest
import torch
from torch import nn

from rlcompress.compensation import loss_gradients
from rlcompress.errors import RunError
from tests.small_networks import InvertedResidual, images


def test_gradients_of_a_linear_layer_by_hand():
    """Two classes: the gradient of row k is (p_k - [k = predicted]) x."""
    network = nn.Sequential(nn.Linear(1, 2, bias=False))
    network[0].weight.data = torch.tensor([[1.0], [0.0]])
    p = torch.tensor([1.0, 0.0]).softmax(0)
    gradient = loss_gradients(network, ["0"], torch.ones(1, 1))["0"]
    assert gradient.flatten().tolist() == pytest.approx([float(1 - p[0]), float(p[1])], rel=1e-5)


def test_gradients_may_be_off_around():
    network, x = InvertedResidual(), images(8, 3, 8, 8)
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    with torch.no_grad():
        off = loss_gradients(network, names, x)
    assert all(torch.equal(off[name], on) for name, on in loss_gradients(network, names, x).items())


def test_squares_are_averaged_over_batches():
    network, x = InvertedResidual(), images(32, 3, 8, 8)
    parts = [loss_gradients(network, ["expand.0"], part)["expand.0"] for part in x.split(16)]
    whole = loss_gradients(network, ["expand.0"], x)["expand.0"]
    torch.testing.assert_close(whole.square(), (parts[0].square() + parts[1].square()) / 2)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_networks_that_give_images_are_refused():
    with pytest.raises(RunError, match="class scores"):
        loss_gradients(nn.Sequential(nn.Conv2d(1, 1, 1)), ["0"], torch.ones(1, 1, 2, 2))
