from dataclasses import replace

import torch
from torch import nn

from rlcompress.candidates import Candidates, calibration_images
from rlcompress.compensation import Moments, output_moments, synthetic_images
from rlcompress.network.cards import get_card
from rlcompress.network.trace import trace
from rlcompress.spec import LayerChoice
from tests.small_networks import InvertedResidual, OptionAResNet, conv, images, randomized

SHAPE = (3, 8, 8)
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


def calibrated(kind=OptionAResNet):
    """A network whose BatchNorms have seen images, and those images."""
    x = torch.rand(256, *SHAPE, generator=torch.Generator().manual_seed(3)).square()
    x = (x - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)
    network = kind().train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network(x)
    return network.eval(), x


def distance(graph, kept, x):
    have = output_moments(graph, kept, x)
    return sum(
        float((((have[n].mean - m.mean) / m.std).square() + ((have[n].std - m.std) / m.std).square()).mean())
        for n, m in kept.items()
    ) / len(kept)


def test_a_trace_keeps_the_moments_of_batch_norm():
    network, x = calibrated()
    traced = trace(network, x[:1])
    assert set(traced.moments) == set(traced.layers) - {"linear"}
    kept = {name: Moments(*moments) for name, moments in traced.moments.items()}
    assert distance(traced.graph, kept, x) < 1e-3
    folded = trace(traced.graph, x[:1])
    assert folded.moments == {}


def test_synthetic_images_fit_the_moments_and_are_images():
    network, x = calibrated()
    traced = trace(network, x[:1])
    kept = {name: Moments(*moments) for name, moments in traced.moments.items()}
    noise = synthetic_images(traced.graph, {}, SHAPE, MEAN, STD)
    fitted = synthetic_images(traced.graph, kept, SHAPE, MEAN, STD)
    assert fitted.shape == noise.shape == (256, *SHAPE)
    assert distance(traced.graph, kept, fitted) < 0.3 * distance(traced.graph, kept, noise)
    pixels = fitted * torch.tensor(STD).view(-1, 1, 1) + torch.tensor(MEAN).view(-1, 1, 1)
    assert pixels.min() >= -1e-5
    assert pixels.max() <= 1 + 1e-5
    assert torch.equal(fitted, synthetic_images(traced.graph, kept, SHAPE, MEAN, STD))
    assert not any(module._forward_hooks for module in traced.graph.modules())


def test_noise_has_more_power_at_low_frequencies():
    noise = synthetic_images(nn.Identity(), {}, (1, 32, 32), (0.0,), (1.0,))
    power = torch.fft.rfft2(noise - noise.mean()).abs().square().mean((0, 1))
    assert power[1, 1] > 20 * power[8, 8]


def test_a_layer_that_gives_nothing_is_no_nan():
    network = randomized(nn.Sequential(conv(3, 4, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()))
    network[0].weight.data.zero_()
    traced = trace(network, torch.zeros(1, *SHAPE))
    kept = {name: Moments(*moments) for name, moments in traced.moments.items()}
    assert synthetic_images(traced.graph, kept, SHAPE, MEAN, STD).isfinite().all()


def test_the_tier_without_data_looks_at_none():
    network, x = calibrated()
    traced = trace(network, x[:1])

    card = replace(get_card("cifar_resnet20"), mean=MEAN, std=STD)

    def never():
        raise AssertionError

    made_up = calibration_images(traced, "t0", card, never)
    assert calibration_images(traced, "t1", card, lambda: x) is x
    choices = {name: LayerChoice(weight_bits=3) for name in traced.layers}
    dense, errors = traced.graph(x).detach(), []
    for calibration in (made_up, images(256, *SHAPE)):
        bank = Candidates(traced, calibration, repair="t0")
        errors.append(float((bank.final(choices)(x) - dense).square().mean()))
    assert errors[0] < errors[1]


def test_activations_in_place_change_no_image():
    made = []
    for inplace in (False, True):
        network, x = calibrated(InvertedResidual)
        activations = [module for module in network.modules() if isinstance(module, nn.ReLU6)]
        assert activations
        for module in activations:
            module.inplace = inplace
        traced = trace(network, x[:1])
        kept = {name: Moments(*moments) for name, moments in traced.moments.items()}
        made.append(synthetic_images(traced.graph, kept, SHAPE, MEAN, STD))
    assert torch.equal(*made)
