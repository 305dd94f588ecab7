"""A network with channels masked and the one with channels removed give the same logits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from rlcompress.candidates import Candidates
from rlcompress.network.trace import trace
from rlcompress.quantization import ActivationQuantizer
from rlcompress.spec import ChoiceBatch, LayerChoice
from tests.small_networks import InvertedResidual, OptionAResNet, images

SHAPE = (3, 8, 8)
RATIOS = st.sampled_from([0.1, 0.25, 0.5, 0.6, 0.95, 1.0])


class Thinned:
    """The layers of a stitched network without the channels that are removed."""

    def __init__(self, bank, choices):
        self.network, traced = bank.stitch(choices), bank.network
        for module in self.network.modules():
            if isinstance(module, ActivationQuantizer):
                module.range = None  # the rounding of what stays is tested elsewhere
        self.removed = bank.removed_classes(choices)
        self.classes = {name: [c for c in traced.classes[name] if c not in self.removed] for name in traced.layers}
        self.keep = {name: self._positions(traced.classes[name]) for name in traced.layers}
        self.keep_inputs = {name: self._positions(traced.input_classes[name]) for name in traced.layers}

    def _positions(self, classes):
        return [i for i, c in enumerate(classes) if c not in self.removed]

    def conv(self, name, x):
        layer = self.network.get_submodule(name)
        weight, bias, groups = layer.weight[self.keep[name]], layer.bias[self.keep[name]], layer.groups
        if groups > 1:
            groups = len(weight)
        else:
            weight = weight[:, self.keep_inputs[name]]
        assert x.shape[1] == len(self.keep_inputs[name])
        return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, groups)

    def linear(self, name, x):
        layer = self.network.get_submodule(name)
        return F.linear(x, layer.weight[:, self.keep_inputs[name]], layer.bias)


def thinned_resnet(net, x):
    x = F.relu(net.conv("stem", x))
    x = F.relu(net.conv("one.conv2", F.relu(net.conv("one.conv1", x))) + x)
    out = net.conv("two.conv2", F.relu(net.conv("two.conv1", x)))
    shortcut, stem = torch.zeros_like(out), net.classes["stem"]
    for i, c in enumerate(net.classes["two.conv2"]):
        if c in stem:
            shortcut[:, i] = x[:, stem.index(c), ::2, ::2]
    return net.linear("linear", F.relu(out + shortcut).mean((2, 3)))


def thinned_mobile(net, x):
    x = F.relu6(net.conv("stem.0", x))
    y = F.relu6(net.conv("depthwise.0", F.relu6(net.conv("expand.0", x))))
    return net.linear("classifier", (x + net.conv("project.0", y)).mean((2, 3)))


CASES = {"resnet": (OptionAResNet, thinned_resnet), "mobile": (InvertedResidual, thinned_mobile)}
BANKS = {}


def bank_of(name):
    if name not in BANKS:
        BANKS[name] = Candidates(trace(CASES[name][0](), torch.zeros(1, *SHAPE)), images(16, *SHAPE))
    return BANKS[name]


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
@settings(max_examples=12)
def test_masked_equals_thinned(name, data):
    bank = bank_of(name)
    structure = bank.network.structure
    ratio = {group: data.draw(RATIOS, group) for group in structure.groups}
    choices = {}
    for layer, spec in bank.network.layers.items():
        keep = ratio.get(spec.coupling, 1.0)
        choices[layer] = LayerChoice(granularity="filter", keep_ratio=keep) if keep < 1 else LayerChoice(weight_bits=4)
    thinned = Thinned(bank, choices)
    x = images(6, *SHAPE, seed=7)
    with torch.no_grad():
        masked = thinned.network(x)
        torch.testing.assert_close(CASES[name][1](thinned, x), masked, atol=1e-4, rtol=1e-4)

    # and the hardware models count the channels that really stay
    outputs, inputs = structure.kept_channels(ChoiceBatch.of([choices], structure.layers))
    for position, layer in zip(structure.layer_index, structure.layers, strict=True):
        assert outputs[0, position] == len(thinned.keep[layer])
        assert inputs[0, position] == len(thinned.keep_inputs[layer])
