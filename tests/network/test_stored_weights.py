"""Weights that torch.nn.utils has made a module compute."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from rlcompress.candidates import Candidates
from rlcompress.network.trace import trace
from rlcompress.spec import LayerChoice
from tests.small_networks import Net, conv, images

SHAPE = (3, 8, 8)


def old_weight_norm(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and in many checkpoints
        nn.utils.weight_norm(layer)


def masked(layer):
    prune.random_unstructured(layer, "weight", 0.5)
    prune.random_unstructured(layer, "bias", 0.5)


WAYS = {
    "weight norm": parametrizations.weight_norm, "old weight norm": old_weight_norm,
    "spectral norm": parametrizations.spectral_norm, "old spectral norm": nn.utils.spectral_norm, "masks": masked,
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_computed_weights_are_compressed_like_any_others(name):
    network = Net(lambda s, x: s.fc(F.relu(s.b(F.relu(s.a(x)))).mean((2, 3))), a=conv(3, 4), b=conv(4, 6),
                  fc=nn.Linear(6, 5))  # fmt: skip
    for layer in (network.a, network.fc):
        WAYS[name](layer)
    x = images(16, *SHAPE)
    network.train()
    network(x)  # leaves weights that autograd has computed
    names = list(network.state_dict())
    traced = trace(network, torch.zeros(1, *SHAPE))
    assert network.training
    assert list(network.state_dict()) == names
    with torch.no_grad():
        wanted = network.eval()(x)
        torch.testing.assert_close(traced.graph(x), wanted)
        stitched = Candidates(traced, x).stitch(dict.fromkeys(traced.layers, LayerChoice()))
        assert float((stitched(x) - wanted).square().mean() / wanted.var()) < 5e-3
