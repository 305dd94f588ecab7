from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.fx import symbolic_trace

from rlcompress.network.builtin.cifar_resnet import BasicBlock
from rlcompress.network.builtin.same_padding import conv3x3, pad_for
from rlcompress.network.cards import CARDS
from rlcompress.network.weights import build


def parameters(name):
    return sum(parameter.numel() for parameter in build(name)[0].parameters())


@pytest.mark.parametrize("name", CARDS)
def test_traced_network_computes_the_same(name):
    module, card = build(name)
    channels, height, width = card.input_shape
    x = torch.rand(2, channels, min(height, 32), min(width, 32))
    with torch.inference_mode():
        expected = module(x)
        assert torch.equal(symbolic_trace(module)(x), expected)
    assert expected.shape == (x.shape if card.classes is None else (2, card.classes))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # akamaster/pytorch_resnet_cifar10 prints these counts; the README of its weights rounds them.
        ("cifar_resnet20", 269_722),
        ("cifar_resnet32", 464_154),
        ("cifar_resnet44", 658_586),
        ("cifar_resnet56", 853_018),
        ("cifar_resnet110", 1_727_962),
    ],
)
def test_parameters_of_cifar_resnets(name, published):
    assert parameters(name) == published


@pytest.mark.parametrize(
    ("name", "published"),
    [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032)],  # torchvision's documentation
)
def test_parameters_of_resnets(name, published):
    assert parameters(name) == published


def test_resnets_have_torchvisions_names():
    names = build("resnet50")[0].state_dict()
    for part in ("conv1.weight", "layer1.0.downsample.0.weight", "layer4.2.bn3.running_var", "fc.bias"):
        assert part in names


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("mlperf_tiny_resnet8", 0.078),
        ("mobilenet_v1_0.25", 0.47),
        ("mobilenet_v1_0.5", 1.34),
        ("mobilenet_v1_0.75", 2.59),
        ("mobilenet_v1_1.0", 4.24),
        ("mobilenet_v2", 3.49),
        ("vdsr", 0.665),
        ("cifar_vgg11_bn", 9.76),  # README of chenyaofo/pytorch-cifar-models
        ("cifar_vgg13_bn", 9.94),
        ("cifar_vgg16_bn", 15.25),
        ("cifar_vgg19_bn", 20.57),
        ("cifar_mobilenet_v2", 2.24),
    ],
)
def test_parameters_of_the_other_networks(name, millions):
    assert parameters(name) / 1e6 == pytest.approx(millions, rel=0.015)


def test_each_six_layers_of_a_stem64_resnet_add_one_block_a_stage():
    block_weights = sum(2 * 9 * width**2 + 4 * width for width in (16, 32, 64))
    counts = [parameters(f"cifar_resnet{depth}_stem64") for depth in (8, 14, 20, 26, 32)]
    assert [b - a for a, b in pairwise(counts)] == [block_weights] * 4


def test_option_a_shortcut_takes_every_second_pixel_and_centres_the_channels():
    block = BasicBlock(4, 8, stride=2).eval()
    torch.nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 4, 6, 6)
    out = block(x)
    assert torch.equal(out[:, 2:6], x[:, :, ::2, ::2])
    assert not out[:, [0, 1, 6, 7]].any()


@given(half=st.integers(1, 8), stride=st.sampled_from([1, 2]))
@settings(max_examples=20, deadline=None)
def test_padding_is_tensorflows_on_even_sizes(half, stride):
    size = 2 * half
    conv, x = conv3x3(1, 1, stride), torch.rand(1, 1, size, size)
    total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
    padded = torch.nn.functional.pad(x, (total // 2, total - total // 2) * 2)
    expected = torch.nn.functional.conv2d(padded, conv.weight, conv.bias, stride)
    torch.testing.assert_close(conv(pad_for(conv, x)), expected)
