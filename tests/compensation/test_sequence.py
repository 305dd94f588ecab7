import copy

import pytest
import torch
from torch import nn

from rlcompress.candidates import Candidates
from rlcompress.compensation import refit_bytes, refit_in_sequence
from rlcompress.compensation.rounded import RoundedLayer
from rlcompress.compensation.sequence import _fit, _Means
from rlcompress.network.trace import trace
from rlcompress.quantization import QuantizedWeight, fit_scale, keep_codes, nearest_integer
from rlcompress.spec import LayerChoice
from tests.small_networks import InvertedResidual, Net, OptionAResNet, conv, images

SHAPE = (3, 8, 8)
X, FRESH = images(256, *SHAPE), images(128, *SHAPE, seed=2)
CHOICES = {
    "3 bits": LayerChoice(weight_bits=3),
    "element": LayerChoice(granularity="element", keep_ratio=0.4, weight_bits=6),
    "filter": LayerChoice(granularity="filter", keep_ratio=0.5),
}
CONCATENATING = {
    "module": lambda: Net(
        lambda net, x: net.last(torch.cat([net.one(x).relu(), net.two(x).relu()], 1).relu().mean((2, 3))),
        one=conv(3, 6), two=conv(3, 6, stride=1), last=nn.Linear(12, 5),
    )
}  # fmt: skip
NETWORKS = {"option a": OptionAResNet, "inverted": InvertedResidual, "concatenation": CONCATENATING["module"]}


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=NETWORKS)
def bank(request):
    return Candidates(trace(request.param(), torch.zeros(1, *SHAPE)), X)


def policy(bank, choice):
    last = list(bank.network.layers)[-1]
    return {name: LayerChoice() if name == last else choice for name in bank.network.layers}


@torch.no_grad()
def error(bank, network):
    return float((network(FRESH) - bank.network.graph(FRESH)).square().mean())


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_fresh_images_come_nearer_to_the_dense_network(bank, choice):
    choices = policy(bank, choice)
    network = bank.stitch(choices)
    layers = bank._all_rounded(choices, network)
    refitted = copy.deepcopy(network)
    refit_in_sequence(refitted, bank.template(), layers, X)
    assert error(bank, refitted) < 0.97 * error(bank, network)
    for name, start in layers.items():
        layer = refitted.get_submodule(name)
        assert layer.codes.dtype == torch.int8
        assert int(layer.codes.abs().max()) <= start.limit
        assert not layer.codes[~start.kept].any()
        assert torch.equal(layer.weight, QuantizedWeight(layer.codes, layer.scale).dequantized())
        gone = ~start.kept.flatten(1).any(1) & (network.get_submodule(name).bias == 0)
        assert not layer.bias[gone].any()


def linear(weight, bits=8):
    """A layer rounded to a number of bits, and what a fit of it starts from."""
    layer = nn.Linear(weight.shape[1], len(weight)).requires_grad_(False)
    layer.bias.zero_()
    scale, limit = fit_scale(weight, bits), 2 ** (bits - 1) - 1
    rounded = QuantizedWeight(nearest_integer([limit])(weight[None] / scale[None, :, None])[0].to(torch.int8), scale)
    layer.weight.copy_(rounded.dequantized())
    keep_codes(layer, rounded)
    return layer, RoundedLayer(rounded, torch.ones_like(weight, dtype=torch.bool), limit)


def two_layers(first, second):
    net = Net(lambda net, x: net.second(net.first(x.flatten(1))), first=nn.Linear(4, 4), second=nn.Linear(4, 4))
    net.first, net.second = first, second
    return trace(net, torch.zeros(1, 4, 1, 1)).graph.requires_grad_(False)


def test_a_layer_makes_up_for_what_the_one_before_it_does_to_its_inputs():
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2, 4, 4, generator=generator)
    (first, _), (second, start) = linear(weights[0]), linear(weights[1])
    dense = two_layers(copy.deepcopy(first), copy.deepcopy(second))
    first.weight.mul_(0.8)
    network = two_layers(first, second)
    x = torch.randn(256, 4, 1, 1, generator=generator)
    wanted, before = dense(x), network(x)
    refit_in_sequence(network, dense, {"second": start}, x)
    lost = [float((y - wanted).square().mean()) for y in (before, network(x))]
    assert lost[1] < 0.05 * lost[0]  # halfway between: 0.8 (1 + 0.2 / 0.9) = 0.98 of the dense outputs
    assert torch.equal(network.second.weight, QuantizedWeight(network.second.codes, network.second.scale).dequantized())


def means(slope, hessian, lack=0.0):
    return _Means(torch.full((1, 3), 2.0), torch.full((1, 2), lack), slope, hessian)


def test_weights_change_as_far_as_other_images_agree():
    weight = torch.tensor([[0.5, -1.0, 0.25], [1.0, 0.5, -0.5]])
    hessian, slope = torch.eye(3)[None], torch.full((1, 2, 3), 0.25)
    changes = []
    for agreed in (1.0, 0.5, 0.0, -1.0):
        layer, start = linear(weight)
        before = layer.weight.clone()
        _fit(layer, start, means(slope, hessian), means(agreed * slope, hessian))
        changes.append(layer.weight - before)
    for change, wanted in zip(changes, (0.25, 0.125, 0.0, 0.0), strict=True):
        torch.testing.assert_close(change, torch.full_like(change, wanted), atol=0.011, rtol=0.0)
    assert torch.equal(changes[2], torch.zeros_like(before))


def test_the_bias_takes_what_is_lacking_on_average():
    layer, start = linear(torch.tensor([[0.5, -1.0, 0.25], [1.0, 0.5, -0.5]]))
    nothing = means(torch.zeros(1, 2, 3), torch.eye(3)[None], lack=0.75)
    _fit(layer, start, nothing, nothing)
    assert layer.bias.tolist() == pytest.approx([0.75, 0.75])
    assert torch.equal(layer.codes, start.weight.codes)


def test_a_branch_makes_up_for_what_its_stream_has_lost():
    def forward(net, x):
        stream = net.stem(x)
        return net.head((stream + net.branch(stream.relu())).mean((2, 3)))

    net = Net(forward, stem=conv(3, 8), branch=conv(8, 8), head=nn.Linear(8, 5))
    bank = Candidates(trace(net, torch.zeros(1, *SHAPE)), X)
    names = list(bank.network.layers)
    choices = dict.fromkeys(names, LayerChoice()) | {names[0]: LayerChoice(weight_bits=2)}
    network = bank.stitch(choices)
    layers = {names[1]: bank._rounded(names[1], choices, network)}
    refitted = copy.deepcopy(network)
    refit_in_sequence(refitted, bank.template(), layers, X)
    summed = {}

    def stored(graph, label):
        graph.get_submodule(names[2]).register_forward_pre_hook(lambda _m, i: summed.__setitem__(label, i[0]))
        graph(FRESH)

    for label, graph in {"dense": bank.template(), "before": network, "after": refitted}.items():
        stored(graph, label)
    lost = [float((summed[label] - summed["dense"]).square().mean()) for label in ("before", "after")]
    assert lost[1] < 0.8 * lost[0]


def test_one_image_is_enough(bank):
    choices = policy(bank, CHOICES["element"])
    network = copy.deepcopy(bank.stitch(choices))
    refit_in_sequence(network, bank.template(), bank._all_rounded(choices, network), X[:1])
    assert network(X).isfinite().all()


def test_bytes_of_an_image_by_hand():
    graph = trace(OptionAResNet(), torch.zeros(1, *SHAPE)).graph
    layers = [name for name, module in graph.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    stream = 8 * 8 * 8  # values; a block's second layer reads its own inputs while the stream waits
    assert refit_bytes(graph, layers) == 2 * 2 * (2 * stream)
    assert refit_bytes(graph, []) == 0
