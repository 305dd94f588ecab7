"""A network with channels masked and the one with channels removed give the same logits."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from rlcompress.candidates import Candidates
from rlcompress.integer import lower
from rlcompress.network.builtin.cifar_resnet import cifar_resnet20
from rlcompress.network.builtin.mobilenet_v2 import MobileNetV2
from rlcompress.network.thinning import thinned
from rlcompress.network.trace import trace
from rlcompress.spec import ChoiceBatch, LayerChoice, applies
from tests.small_networks import InvertedResidual, Net, OptionAResNet, conv, images, randomized

SHAPE = (3, 8, 8)


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down, self.up = conv(channels, 4, 1), conv(4, channels, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.up(F.silu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class LinearSqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down, self.up = nn.Linear(channels, 4), nn.Linear(4, channels)

    def forward(self, x):
        n, c, _, _ = x.size()
        y = torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1).view(n, c)))))
        return x * y.view(n, c, 1, 1).expand_as(x)


def dense_block(s, x):
    x = F.relu(s.a(x))
    x = torch.cat([x, s.b(F.relu(s.bn(x)))], 1)
    x = F.avg_pool2d(torch.cat([x, s.c(F.relu(s.bn2(x)))], 1), 2)
    return s.fc(F.gelu(s.d(x)).mean((2, 3)))


def shuffle_unit(s, x):
    left, right = s.a(x).chunk(2, 1)
    x = torch.cat([left, s.b(F.relu(right))], 1)
    n, c, h, w = x.shape
    x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
    left, right = torch.split(x, 4, dim=1)
    return s.fc(torch.cat([left, s.c(right)], 1).mean([2, 3]))


def channels_last_flatten(s, x):
    return s.fc(s.b(F.max_pool2d(F.silu(s.a(x)), 4)).permute(0, 2, 3, 1).reshape(x.shape[0], -1))


def constant_sizes(s, x):
    return s.fc(torch.reshape(F.relu(s.a(x)).view(-1, 8, 64), (x.shape[0], 8 * 64)))


def one_tensor_twice(s, x):
    x = F.relu(s.a(x))
    return s.fc(s.c(F.relu(s.b(torch.cat([x, x], 1)))).mean((2, 3)))


def operands_by_name(s, x):
    x = F.relu(torch.add(s.a(x), other=s.b(x)))
    x = torch.concatenate([torch.sub(s.c(x), other=s.d(x)), s.e(x)], axis=1)
    return s.fc(F.relu(x).mean(axis=(2, 3)))


def bounds_that_are_tensors(s, x):
    x = s.a(x)
    return s.fc(s.c(torch.clamp(F.relu(x), max=s.b(x))).mean((2, 3)))


def parts(s, x):
    x = s.a(x)
    return s.fc(torch.cat([s.b(x[:, 2:]), F.pad(x[:, :4, ::2, ::2], (0, 0, 0, 0, 1, 0))], 1).mean((2, 3)))


NETWORKS = {
    "resnet": OptionAResNet,
    "mobile": InvertedResidual,
    "concatenation": lambda: Net(
        lambda s, x: s.fc(F.relu(s.c(F.relu(torch.cat([s.a(x), s.b(x)], 1)))).flatten(1)),
        a=conv(3, 8), b=conv(3, 6), c=conv(14, 8, stride=4), fc=nn.Linear(32, 5),
    ),
    "dense block": lambda: Net(
        dense_block, a=conv(3, 8), bn=nn.BatchNorm2d(8), b=conv(8, 4), bn2=nn.BatchNorm2d(12), c=conv(12, 4),
        d=conv(16, 8), fc=nn.Linear(8, 5),
    ),
    "squeeze and excitation": lambda: Net(
        lambda s, x: s.fc(s.two(F.hardswish(s.dw(s.one(F.hardswish(s.a(x)))))).mean((2, 3))),
        a=conv(3, 8), one=SqueezeExcite(8), dw=conv(8, 8, groups=8), two=LinearSqueezeExcite(8), fc=nn.Linear(8, 5),
    ),
    "shuffle": lambda: Net(shuffle_unit, a=conv(3, 8), b=conv(4, 4), c=conv(4, 6), fc=nn.Linear(10, 5)),
    "grouped": lambda: Net(
        lambda s, x: s.fc(s.c(F.leaky_relu(s.b(s.a(x)))).mean((2, 3))),
        a=conv(3, 8), b=conv(8, 12, groups=4), c=conv(12, 8), fc=nn.Linear(8, 5),
    ),
    "one tensor twice": lambda: Net(
        one_tensor_twice, a=conv(3, 8), b=conv(16, 8), c=conv(8, 8), fc=nn.Linear(8, 5)
    ),
    "channels last": lambda: Net(channels_last_flatten, a=conv(3, 8), b=conv(8, 6), fc=nn.Linear(24, 5)),
    "constant sizes": lambda: Net(constant_sizes, a=conv(3, 8), fc=nn.Linear(512, 5)),
    "parts": lambda: Net(parts, a=conv(3, 8), b=conv(6, 7, stride=2), fc=nn.Linear(12, 5)),
    "operands by name": lambda: Net(
        operands_by_name, a=conv(3, 8), b=conv(3, 8), c=conv(8, 6), d=conv(8, 6), e=conv(8, 4), fc=nn.Linear(10, 5)
    ),
    "tokens": lambda: Net(
        lambda s, x: s.fc(s.b(s.norm(s.mix(s.a(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)).mean((2, 3))),
        a=conv(3, 8), mix=nn.Linear(8, 8), norm=nn.LayerNorm(8), b=conv(8, 8), fc=nn.Linear(8, 5),
    ),
    "flattened by a module": lambda: Net(
        lambda s, x: s.fc(s.flat(s.up(s.a(x)))),
        a=conv(3, 4, stride=4, dilation=2, padding=2), up=nn.Upsample(scale_factor=2), flat=nn.Flatten(),
        fc=nn.Linear(64, 5),
    ),
}  # fmt: skip


def random_choices(bank, granularities, seed):
    """Every group and layer pruned at a ratio of its own."""
    rng = np.random.default_rng(seed)
    ratio = {group: rng.choice([0.1, 0.25, 0.5, 0.75]) for group in bank.network.structure.groups}
    choices = {}
    for name, spec in bank.network.layers.items():
        granularity = rng.choice(granularities)
        if spec.coupling is not None and "filter" in granularities:
            choices[name] = LayerChoice(granularity="filter", keep_ratio=ratio[spec.coupling])
        elif granularity == "channel" and applies("channel", spec):
            choices[name] = LayerChoice(granularity="channel", keep_ratio=rng.choice([0.25, 0.5, 0.75]))
        else:
            choices[name] = LayerChoice(weight_bits=4)
    return choices


def check(model, shape, granularities, seed=0, bank=None):
    bank = bank or Candidates(trace(model, torch.zeros(1, *shape)), images(16, *shape))
    choices = random_choices(bank, granularities, seed)
    masked = bank.stitch(choices)
    small = thinned(masked, torch.zeros(1, *shape))
    x = images(5, *shape, seed=7)
    with torch.no_grad():
        torch.testing.assert_close(small(x), masked(x), atol=1e-3, rtol=1e-3)  # a code may round the other way
    sizes = [sum(p.numel() for p in network.parameters()) for network in (small, masked)]
    assert sizes[0] < sizes[1]
    return bank, choices, masked, small


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("granularities", [("filter",), ("channel",), ("filter", "channel")], ids="+".join)
@pytest.mark.parametrize("name", NETWORKS)
def test_masked_equals_thinned(name, granularities, seed):
    network = NETWORKS[name]()
    removable = any(s.coupling is not None for s in trace(network, torch.zeros(1, *SHAPE)).specs)
    assert removable
    bank, choices, _, small = check(network, SHAPE, granularities, seed)
    outputs, inputs = bank.network.structure.kept_channels(ChoiceBatch.of([choices], bank.network.structure.layers))
    parted = name in ("shuffle", "parts")  # the models count a part's channels in proportion; none loses its last one
    for i, layer in zip(bank.network.structure.layer_index, bank.network.layers, strict=True):
        rows, columns = small.get_submodule(layer).weight.shape[:2]
        assert rows <= outputs[0, i] + 2 * parted
        if granularities == ("filter",) and not parted:
            assert rows == outputs[0, i]
        read = rows == outputs[0, i]  # otherwise its readers have lost all of its channels, and it is thinner still
        if read and choices[layer].granularity != "none" and not parted and bank.network.layers[layer].groups == 1:
            assert columns == inputs[0, i]


def test_tensors_that_bound_others_keep_their_channels():
    network = Net(bounds_that_are_tensors, a=conv(3, 8), b=conv(8, 8), c=conv(8, 6), fc=nn.Linear(6, 5))
    couplings = {spec.name: spec.coupling for spec in trace(network, torch.zeros(1, *SHAPE)).specs}
    assert (couplings["a"], couplings["b"], couplings["c"]) == (None, None, "c")
    for seed in range(3):
        check(network, SHAPE, ("filter", "channel"), seed)


@cache
def rounding_bank(name, round_to):
    network = trace(NETWORKS[name](), torch.zeros(1, *SHAPE)).with_round_to(round_to)
    return Candidates(network, images(16, *SHAPE))


@pytest.mark.parametrize("name", ["resnet", "mobile", "concatenation", "dense block"])
@given(round_to=st.sampled_from([2, 3, 4]), seed=st.integers(0, 1000), bits=st.sampled_from([2, 4]), both=st.booleans())
@example(round_to=3, seed=124, bits=2, both=True)  # numbers filled up before all was read that would have filled them
@settings(max_examples=5)
def test_masks_costs_and_thinned_networks_keep_the_same_multiples(name, round_to, seed, bits, both):
    bank = rounding_bank(name, round_to)
    network, choices = bank.network, random_choices(bank, ("filter", "channel") if both else ("filter",), seed)
    choices = {layer: choice.model_copy(update={"weight_bits": bits}) for layer, choice in choices.items()}
    outputs, inputs = network.structure.kept_channels(ChoiceBatch.of([choices], network.structure.layers))
    removed = list(bank.removed_classes(choices))
    masked = bank.stitch(choices)
    small = thinned(masked, torch.zeros(1, *SHAPE), round_to)
    for i, (layer, spec) in zip(network.structure.layer_index, network.layers.items(), strict=True):
        rows, columns = small.get_submodule(layer).weight.shape[:2]
        assert int((~np.isin(network.classes[layer], removed)).sum()) == outputs[0, i]
        assert (outputs[0, i] - rows) % round_to == 0  # at 2 bits, or where readers drop them, more channels may go
        if bits == 4 and not both:
            assert rows == outputs[0, i]
        if bits == 4 and spec.groups == 1:
            assert columns == inputs[0, i]
    x = images(3, *SHAPE, seed=7)
    torch.testing.assert_close(small(x), masked(x), atol=1e-3, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("granularities", [("filter",), ("filter", "channel")], ids="+".join)
@pytest.mark.parametrize(
    ("network", "shape"), [(cifar_resnet20(), (3, 32, 32)), (MobileNetV2(10), (3, 32, 32))], ids=["resnet20", "mobile"]
)
def test_masked_equals_thinned_on_whole_networks(network, shape, granularities):
    """In integers bit for bit; in floating point a code may round the other way, which deep networks amplify."""
    bank = Candidates(trace(randomized(network), torch.zeros(1, *shape)), images(16, *shape))
    masked = bank.stitch(random_choices(bank, granularities, 0))
    small = thinned(masked, torch.zeros(1, *shape))
    x = images(16, *shape, seed=7)
    assert torch.equal(lower(small)(x), lower(masked)(x))
    with torch.no_grad():
        equal = torch.isclose(small(x), masked(x), atol=1e-3, rtol=1e-3).all(1)
    assert int(equal.sum()) >= 12


def test_an_unpruned_network_stays_as_it_is():
    network = trace(OptionAResNet(), torch.zeros(1, *SHAPE))
    small = thinned(network.graph, torch.zeros(1, *SHAPE))
    assert small.code == network.graph.code
    x = images(3, *SHAPE)
    assert torch.equal(small(x), network.graph(x))


def test_channels_that_only_dead_channels_read_go_too():
    network = Net(
        lambda s, x: s.fc(s.c(s.b(s.a(x))).mean((2, 3))), a=conv(3, 4), b=conv(4, 4), c=conv(4, 4), fc=nn.Linear(4, 5)
    )
    network.c.weight.data[:, 1:] = 0  # only channel 0 of b is read
    network.b.weight.data[0, 2:] = 0  # and that reads channels 0 and 1 of a
    small = thinned(trace(network, torch.zeros(1, *SHAPE)).graph, torch.zeros(1, *SHAPE))
    assert small.a.weight.shape == (2, 3, 3, 3)
    assert small.b.weight.shape == (1, 2, 3, 3)
    x = images(3, *SHAPE)
    torch.testing.assert_close(small(x), network(x))


def test_a_layer_without_weights_keeps_one_channel():
    network = Net(lambda s, x: s.fc(s.b(s.a(x)).mean((2, 3))), a=conv(3, 4), b=conv(4, 4), fc=nn.Linear(4, 5))
    network.b.weight.data.zero_()
    small = thinned(trace(network, torch.zeros(1, *SHAPE)).graph, torch.zeros(1, *SHAPE))
    assert small.a.weight.shape == (1, 3, 3, 3)
    assert small.b.weight.shape == (4, 1, 3, 3)
    x = images(3, *SHAPE)
    torch.testing.assert_close(small(x), network(x))


def test_a_tensor_that_others_read_whole_is_selected_from():
    network = Net(
        lambda s, x: s.fc((s.b(s.a(x)) + s.a2(x)).mean((2, 3))),
        a=conv(3, 4),
        a2=conv(3, 4),
        b=conv(4, 4),
        fc=nn.Linear(4, 5),
    )
    network.a2.weight.data[:, 1] = 0
    small = thinned(trace(network, torch.zeros(1, *SHAPE)).graph, torch.zeros(1, *SHAPE))
    assert small.a2.weight.shape == (4, 2, 3, 3)
    x = images(3, *SHAPE)
    torch.testing.assert_close(small(x), network(x))


class ChannelsLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.fc = conv(3, 8), nn.Linear(8 * 8 * 2, 10)

    def forward(self, x):
        return self.fc(torch.flatten(F.relu(self.a(x)).permute(0, 2, 3, 1)[..., 1:3], 1))


def test_channels_that_a_slice_of_the_last_dimension_leaves_out():
    traced = trace(randomized(ChannelsLast()), images(1, 3, 8, 8))
    small = thinned(traced.graph, images(1, 3, 8, 8))
    assert small.get_submodule("a").out_channels == 2
    torch.testing.assert_close(small(images(4, 3, 8, 8)), traced.graph(images(4, 3, 8, 8)))
