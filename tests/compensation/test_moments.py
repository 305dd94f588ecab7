import copy

import pytest
import torch
from torch import nn

from rlcompress.compensation import Moments, affine_to, match_moments, output_moments, removed_outputs
from tests.small_networks import conv, images, randomized

X = images(16, 3, 6, 6)


def network():
    return randomized(nn.Sequential(conv(3, 8), nn.ReLU(), conv(8, 6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)))


def disturbed(dense, amount):
    other = copy.deepcopy(dense).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for layer in other:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight += amount * layer.weight.std() * torch.randn(layer.weight.shape, generator=generator)
    return other


def test_moments_by_hand():
    output = torch.tensor([[[[1.0, 3.0]], [[0.0, 0.0]]], [[[5.0, 7.0]], [[0.0, 4.0]]]])
    moments = Moments.of(output)
    assert moments.mean.tolist() == [4.0, 1.0]
    assert moments.std.tolist() == pytest.approx([5**0.5, 3**0.5])
    assert Moments.of(output[:, :, 0, 0]).mean.tolist() == [3.0, 0.0]


def test_matching_makes_moments_equal_on_the_same_images():
    dense, layers = network(), ["0", "2", "5"]
    reference = output_moments(dense, layers, X)
    other = disturbed(dense, 0.3)
    match_moments(other, reference, X)
    have = output_moments(other, layers, X)
    for name in layers:
        torch.testing.assert_close(have[name].mean, reference[name].mean, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(have[name].std, reference[name].std, atol=1e-4, rtol=1e-4)


def test_the_dense_network_stays_as_it_is():
    dense = network().requires_grad_(False)
    same = copy.deepcopy(dense)
    match_moments(same, output_moments(dense, ["0", "2", "5"], X), X)
    torch.testing.assert_close(same(X), dense(X), atol=1e-4, rtol=1e-4)
    assert not any(module._forward_hooks for module in same.modules())


def test_gains_are_limited_and_constant_channels_are_only_shifted():
    have = Moments(torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 0.0, 1.0]))
    want = Moments(torch.tensor([1.0, 0.0, 5.0, 9.0]), torch.tensor([10.0, 0.1, 3.0, 1.5]))
    gain, shift = affine_to(have, want, torch.tensor([False, False, False, True]))
    assert gain.tolist() == [2.0, 0.5, 1.0, 1.0]
    assert shift.tolist() == [1.0, -0.5, 3.0, 0.0]


def test_what_further_images_show_keeps_the_gain_near_one():
    few = Moments(torch.tensor([0.0, 1.0]), torch.tensor([0.1, 1.0]))
    want = few.with_unseen(Moments(torch.tensor([0.5, 1.0]), torch.tensor([1.0, 0.9])))
    assert want.unseen.tolist() == pytest.approx([0.99, 0.0])
    have = Moments(torch.tensor([0.2, 0.0]), torch.tensor([0.2, 2.0]))
    gain, shift = affine_to(have, want, torch.zeros(2, dtype=torch.bool))
    assert gain.tolist() == pytest.approx([(1.0 / 1.03) ** 0.5, 0.5])
    assert shift.tolist() == pytest.approx([-0.2 * (1.0 / 1.03) ** 0.5, 1.0])


def test_removed_channels_stay_removed():
    dense = network()
    other = disturbed(dense, 0.1)
    other[0].weight[2], other[0].bias[2] = 0.0, 0.0
    other[2].weight[1] = 0.0  # its bias stays: a channel that pruning or rounding has emptied
    assert removed_outputs(other[0]).tolist() == [i == 2 for i in range(8)]
    reference = output_moments(dense, ["0", "2"], X)
    match_moments(other, reference, X)
    assert not other[0](X)[:, 2].any()
    assert float(other[2](other[:2](X))[:, 1].mean()) == pytest.approx(float(reference["2"].mean[1]), abs=1e-4)
