"""Networks with random weights, and random policies for them."""

from functools import cache

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from rlcompress.candidates import Candidates
from rlcompress.network.builtin.cifar_resnet import cifar_resnet20
from rlcompress.network.builtin.cifar_resnet_stem64 import cifar_resnet8_stem64
from rlcompress.network.builtin.mobilenet_v2 import MobileNetV2
from rlcompress.network.trace import trace
from rlcompress.spec import LayerChoice
from tests.small_networks import InvertedResidual, Net, OptionAResNet, conv, images, randomized


def concatenating():
    """A stem with maximum pooling, a Fire module of SqueezeNet, average pooling and a head of convolutions."""

    def forward(net, x):
        x = F.max_pool2d(F.relu(net.stem(x)), 3, 2, 1)
        x = F.relu(net.squeeze(x))
        x = torch.cat([F.relu(net.one(x)), F.relu(net.three(x)), x], 1)
        x = F.avg_pool2d(F.relu6(net.grouped(x)), 2)
        return net.head(F.relu(net.dilated(x))).mean((2, 3))

    return Net(
        forward, stem=conv(3, 12, 5, stride=2), squeeze=conv(12, 8, 1), one=conv(8, 12, 1), three=conv(8, 12),
        grouped=conv(32, 16, groups=4), dilated=conv(16, 8, dilation=2, padding=2), head=nn.Conv2d(8, 7, 1),
    )  # fmt: skip


NETWORKS = {
    "resnet20": (lambda: randomized(cifar_resnet20()), (3, 16, 16)),
    "stem64": (lambda: randomized(cifar_resnet8_stem64()), (3, 32, 32)),
    "mobilenet_v2": (lambda: randomized(MobileNetV2(10)), (3, 32, 32)),
    "concatenation": (concatenating, (3, 32, 32)),
    "option_a": (OptionAResNet, (3, 8, 8)),
    "inverted_residual": (InvertedResidual, (3, 8, 8)),
}

SLOW = ("resnet20", "mobilenet_v2")


@cache
def bank_of(name):
    """The bank of a network, from 8 random images."""
    network, shape = NETWORKS[name]
    return Candidates(trace(network(), torch.zeros(1, *shape)), images(8, *shape))


def policies(bank):
    """Policies with bits of its own for every layer, and one of two random prunings, which the bank keeps."""
    prunings = [_pruning(bank, seed) for seed in (0, 1)]
    bits = st.integers(2, 8)

    @st.composite
    def policy(draw):
        pruning = draw(st.sampled_from(prunings))
        return {
            name: LayerChoice(
                granularity=granularity, keep_ratio=keep, weight_bits=draw(bits), activation_bits=draw(bits)
            )
            for name, (granularity, keep) in pruning.items()
        }

    return policy()


def _pruning(bank, seed):
    """Layer -> granularity and keep ratio; coupled layers are pruned together."""
    draw = np.random.RandomState(seed)
    ratios = {group: draw.choice([0.25, 0.5, 1.0, 1.0]) for group in bank.network.structure.groups}
    pruning = {}
    for name, spec in bank.network.layers.items():
        keep = float(ratios.get(spec.coupling, 1.0))
        alone = ("element", 0.4) if draw.rand() < 0.3 else ("none", 1.0)
        pruning[name] = ("filter", keep) if keep < 1 else alone
    return pruning
