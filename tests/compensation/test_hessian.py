import pytest
import torch
from torch import nn

from rlcompress.compensation import input_hessians
from tests.small_networks import conv, images, randomized

LAYERS = {
    "plain": conv(4, 5),
    "strided": conv(4, 5, stride=2),
    "dilated": conv(4, 5, dilation=2),
    "asymmetric": nn.Conv2d(4, 5, (1, 3), padding=(0, 1), stride=(2, 1)),
    "grouped": conv(4, 6, groups=2),
    "depthwise": conv(4, 4, groups=4),
    "wide padding": conv(4, 5, padding=7),
    "wide padding, strided": conv(4, 5, 5, padding=9, stride=3, dilation=2),
    "same": conv(4, 5, padding="same"),
    "valid": conv(4, 5, padding="valid"),
    "circular": conv(4, 5, padding_mode="circular"),
    "reflect": conv(4, 5, 5, padding_mode="reflect"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_quadratic_form_of_the_hessian_is_the_power_of_the_outputs(name):
    layer = randomized(nn.Sequential(LAYERS[name]))
    layer[0].bias = None
    x = images(40, 4, 6, 6)  # more than one chunk
    hessian = input_hessians(layer, ["0"], x)["0"]
    weight = layer[0].weight.detach()
    grouped = weight.reshape(len(hessian), -1, hessian.shape[1])
    power = torch.einsum("gkd,gde,gke->gk", grouped, hessian, grouped).flatten()
    torch.testing.assert_close(power, layer(x).detach().square().mean((0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_convolution_by_hand():
    network = nn.Sequential(nn.Conv2d(1, 1, 2))
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]], [[[0.0, 1.0], [0.0, 0.0]]]])
    columns = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 0.0]]).T
    assert torch.equal(input_hessians(network, ["0"], x)["0"], (columns @ columns.T / 2)[None])


def test_depthwise_by_hand():
    network = nn.Sequential(nn.Conv2d(2, 2, 1, groups=2))
    x = torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]]])
    assert input_hessians(network, ["0"], x)["0"].flatten().tolist() == [2.5, 17.0]


def test_linear_sees_what_comes_before_it():
    network = randomized(nn.Sequential(conv(2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)))
    x = images(10, 2, 4, 4)
    inputs = network[:3](x).detach()
    torch.testing.assert_close(
        input_hessians(network, ["3"], x)["3"], (inputs.T @ inputs / 10)[None], rtol=1e-4, atol=1e-5
    )


def test_no_hooks_are_left_behind():
    network = nn.Sequential(conv(2, 3), nn.Flatten(), nn.Linear(7, 7))
    with pytest.raises(RuntimeError):
        input_hessians(network, ["0", "2"], images(2, 2, 4, 4))
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_columns_left_out_of_one_chunk_are_looked_at_in_another(monkeypatch):
    layer = randomized(nn.Sequential(conv(4, 5)))
    x = images(1, 4, 6, 6).expand(64, -1, -1, -1)  # two chunks of the same images
    whole = input_hessians(layer, ["0"], x)["0"]
    monkeypatch.setattr("rlcompress.compensation.hessian._COLUMNS", 64 * 36 // 2)
    seen = []
    monkeypatch.setattr(torch, "stack", lambda parts, dim, stack=torch.stack: seen.append(parts) or stack(parts, dim))
    torch.testing.assert_close(input_hessians(layer, ["0"], x)["0"], whole, rtol=1e-4, atol=1e-5)
    assert [part[0].shape[2] for part in seen] == [3, 3]
