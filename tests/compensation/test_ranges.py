import pytest
import torch
from torch import nn

from rlcompress.compensation import output_error, tune_ranges
from rlcompress.quantization import ActivationQuantizer, ActivationRange
from tests.small_networks import images

X = images(96, 1, 2, 2).abs()


def network(bits, *scales):
    layers = []
    for scale in scales:
        layers += [ActivationQuantizer(), nn.Identity()]
        layers[-2].range = ActivationRange(scale, 0, bits)
    return nn.Sequential(*layers)


def tune(net, target):
    tune_ranges(list(net.modules())[1::2], lambda: output_error(map(net, X.split(64)), target.split(64)))


@pytest.mark.parametrize(("best", "factor"), [(0.1, 1.0), (0.085, 0.85), (0.12, 1.2)])
def test_the_range_that_made_the_target_is_found(best, factor):
    target = network(4, best)(X)
    net = network(4, 0.1)
    tune(net, target)
    assert net[0].range.scale == pytest.approx(0.1 * factor)


def test_outputs_only_get_nearer():
    net = network(3, 0.5, 0.3)
    before = float((net(X) - X).square().mean())
    tune(net, X)
    assert float((net(X) - X).square().mean()) < before


def test_wide_and_absent_ranges_stay():
    net = network(8, 0.001)
    net.append(ActivationQuantizer())
    tune(net, X)
    assert net[0].range.scale == 0.001
    assert net[2].range is None


def test_each_range_is_settled_in_turn():
    net, seen = network(4, 0.1, 0.3), []
    tune_ranges([net[0], net[2]], lambda: output_error([net(X)], [X]), lambda quantizer: seen.append(quantizer.range))
    assert seen == [net[0].range, net[2].range]


def test_every_image_counts_once():
    net = network(4, 0.1)
    wanted = torch.cat([network(4, 0.1)(X[:32]), network(4, 0.12)(X[32:])])
    tune(net, wanted)
    assert net[0].range.scale == pytest.approx(0.12)
