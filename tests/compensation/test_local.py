import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rlcompress.compensation import InputMeans, Moments, input_hessians, local_moments, output_moments, visit_inputs
from tests.small_networks import Net, conv, images


def network():
    return Net(
        lambda net, x: net.fc(F.relu(net.d(F.relu(net.b(F.relu(net.a(x)))))).flatten(1)),
        a=conv(3, 8, stride=2), b=conv(8, 8, padding=2, dilation=2), d=conv(8, 8, groups=8), fc=nn.Linear(128, 4),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["a", "b", "d", "fc"])
def test_moments_are_those_of_running_the_layer_on_dense_inputs(name):
    net, x = network(), images(40, 3, 8, 8)
    layer = net.get_submodule(name)
    means = InputMeans()
    visit_inputs(net, [name], x, means.add)
    hessian, mean = input_hessians(net, [name], x)[name], means.result()[name]
    layer.weight.data = layer.weight + 0.1 * torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(3))
    found = local_moments(layer.weight.detach(), layer.bias.detach(), hessian, mean)
    wanted: Moments = output_moments(net, [name], x)[name]
    torch.testing.assert_close(found.mean, wanted.mean, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(found.std, wanted.std, atol=2e-4, rtol=1e-3)
