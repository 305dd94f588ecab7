import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from rlcompress.candidates import Candidates
from rlcompress.errors import NetworkError, RunError
from rlcompress.integer import Reference, lower
from rlcompress.integer.engines import IntegerConv
from rlcompress.integer.onednn import int8_works
from rlcompress.integer.portable import CudaEngine
from rlcompress.integer.steps import Apply, AsImage
from rlcompress.network.trace import trace
from rlcompress.spec import LayerChoice
from tests.integer.networks import NETWORKS, SLOW, bank_of, policies
from tests.small_networks import Net, conv, images

needs_int8 = pytest.mark.skipif(not int8_works(), reason="this machine's int8 convolutions are not exact")


SOME_SLOW = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NETWORKS]


@needs_int8
@pytest.mark.parametrize("name", SOME_SLOW)
@given(data=st.data())
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_engines_agree_in_every_bit(name, data):
    bank, shape = bank_of(name), NETWORKS[name][1]
    stitched = bank.stitch(data.draw(policies(bank)))
    x = images(5, *shape, seed=data.draw(st.integers(0, 99)))
    oracle = lower(stitched, engine="portable")(x)
    assert oracle.isfinite().all()
    for engine in ("portable", "int8"):
        network = lower(stitched, engine=engine)
        batch = data.draw(st.integers(1, 5), "batch")
        layout = data.draw(st.sampled_from([torch.contiguous_format, torch.channels_last]), "layout")
        threads = torch.get_num_threads()
        torch.set_num_threads(data.draw(st.integers(1, 3), "threads"))
        try:
            given = torch.cat([network(part.contiguous(memory_format=layout)) for part in x.split(batch)])
        finally:
            torch.set_num_threads(threads)
        assert torch.equal(given, oracle)


@pytest.mark.parametrize("name", SOME_SLOW)
@pytest.mark.parametrize(("bits", "tolerance"), [(8, 2e-3), (4, 2e-2)])
def test_integers_stay_close_to_the_stitched_network(name, bits, tolerance):
    bank, shape = bank_of(name), NETWORKS[name][1]
    choice = LayerChoice(weight_bits=bits, activation_bits=8)
    stitched = bank.stitch(dict.fromkeys(bank.network.layers, choice))
    x = images(16, *shape, seed=3)
    wanted, given = stitched(x), lower(stitched, engine="portable")(x)
    if name == "mobilenet_v2":  # 52 layers of random weights make much of each code that is rounded otherwise
        tolerance = 3e-2
    assert float((given - wanted).square().mean() / wanted.var()) < tolerance


def bank_for(network, *shape):
    return Candidates(trace(network, torch.zeros(1, *shape)), images(8, *shape))


def lowered(bank, engine="portable", **choice):
    stitched = bank.stitch(dict.fromkeys(bank.network.layers, LayerChoice(**choice)))
    return stitched, lower(stitched, engine=engine)


def shuffling(net, x):
    x = F.relu(net.a(x))
    left, right = x.chunk(2, 1)
    x = torch.cat([F.relu(net.b(left)), right], 1)
    x = x.view(x.size(0), 2, 4, x.size(2), x.size(3)).transpose(1, 2).flatten(1, 2)
    return net.fc(F.adaptive_avg_pool2d(net.c(x) * torch.sigmoid(x), 1).flatten(1))


def residuals_that_live_on(net, x):
    x = F.relu(net.a(x))
    y = F.relu(net.b(x) + x)
    z = net.c(y) + x  # x is read again after the first sum
    return net.fc((F.hardtanh(z, -1.0, 1.0) + y).mean((2, 3)))


def sums_of_one_tensor(net, x):
    x = F.relu(net.a(x))
    y = F.relu(net.b(x[:, :, 1:, 1:]) + x[:, :, :-1, :-1])
    return net.fc(F.relu(net.c(y) + y).amax((2, 3)) + 1.0)


def odd_padding(net, x):
    x = F.relu(net.reflecting(F.pad(x, (1, 2, 0, 1))))
    return net.fc(F.relu(net.d(F.dropout(x, 0.5, False))).mean(3).mean(2))


MORE = {
    "shuffling": (shuffling, {"a": conv(3, 8), "b": conv(4, 4), "c": conv(8, 8)}),
    "residuals": (residuals_that_live_on, {"a": conv(3, 8), "b": conv(8, 8), "c": conv(8, 8)}),
    "one tensor": (sums_of_one_tensor, {"a": conv(3, 8), "b": conv(8, 8), "c": conv(8, 8)}),
    "odd padding": (odd_padding, {"reflecting": conv(3, 8, padding_mode="reflect"), "d": conv(8, 8)}),
}


@pytest.mark.parametrize("name", MORE)
@pytest.mark.parametrize("engine", ["portable", pytest.param("int8", marks=needs_int8)])
def test_more_operators(name, engine):
    forward, modules = MORE[name]
    bank = bank_for(Net(forward, **modules, fc=nn.Linear(8, 5)), 3, 8, 8)
    x = images(8, 3, 8, 8, seed=4)
    for bits in (8, 5):
        stitched, network = lowered(bank, engine, activation_bits=bits)
        wanted = stitched(x)
        assert float((network(x) - wanted).square().mean() / wanted.var()) < 2e-2
        assert torch.equal(network(x), lower(stitched, engine="portable")(x))
        assert torch.equal(network(x[2:3]), network(x)[2:3])


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in SLOW])
@pytest.mark.parametrize("engine", ["portable", pytest.param("int8", marks=needs_int8)])
def test_removed_channels_are_not_computed_and_change_no_bit(name, engine):
    bank, shape = bank_of(name), NETWORKS[name][1]
    halved = LayerChoice(granularity="filter", keep_ratio=0.5)
    specs = bank.network.layers.items()
    stitched = bank.stitch({layer: halved if spec.coupling else LayerChoice() for layer, spec in specs})
    x = images(4, *shape)
    thin = lower(stitched, engine=engine)
    weights = [sum(c.codes.numel() for c in _convolutions(thin))]
    for layer in bank.network.layers:
        stitched.get_submodule(layer).bias[stitched.get_submodule(layer).bias == 0] = 1e-30  # no reason to stay
    masked = lower(stitched, engine="portable")
    assert torch.equal(thin(x), masked(x))
    weights.append(sum(c.codes.numel() for c in _convolutions(masked)))
    if engine == "portable":
        assert weights[0] < (0.8 if name == "concatenation" else 0.5) * weights[1]


def _convolutions(network):
    steps = [getattr(step, "accumulator", step) for step, *_ in network._plan]
    steps = [step.conv if isinstance(step, AsImage) else step for step in steps]
    return [step.conv for step in steps if isinstance(getattr(step, "conv", None), IntegerConv)]


def test_residual_blocks_run_on_codes_alone():
    _, network = lowered(bank_of("inverted_residual"))
    assert not any(isinstance(step, Apply) and step.real for step, *_ in network._plan)


def test_the_network_is_its_own():
    stitched, network = lowered(bank_of("option_a"))
    x = images(4, 3, 8, 8)
    before = network(x)
    for layer in stitched.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.zero_()
            layer.bias.zero_()
            layer.scale.zero_()
    assert torch.equal(network(x), before)


def test_codes_and_scales_are_those_of_the_bank():
    bank = bank_of("option_a")
    choices = dict.fromkeys(bank.network.layers, LayerChoice(weight_bits=3))
    stitched = bank.stitch(choices)
    for name in bank.network.layers:
        layer, weight = stitched.get_submodule(name), bank.weights(name, choices)
        assert torch.equal(layer.codes, weight.codes)
        column = layer.scale.view(-1, *[1] * (layer.weight.dim() - 1))
        torch.testing.assert_close(layer.weight, layer.codes * column)
        assert not torch.equal(layer.scale, weight.scale)  # the moments were corrected


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"weight_bits": 16}, "^layer 'stem': weights of more than 8 bits have no integer codes$"),
        ({"activation_bits": 16}, "^quantizer_x: activations of 16 bits have no integer codes; use at most 8$"),
    ],
)
def test_more_than_eight_bits(choice, message):
    with pytest.raises(RunError, match=message):
        lowered(bank_of("option_a"), **choice)


def test_unknown_engine():
    with pytest.raises(RunError, match=r"^unknown engine 'tpu'; choose from auto, portable, int8, cuda$"):
        lowered(bank_of("option_a"), "tpu")


def test_without_a_gpu_the_engine_for_one_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RunError, match=r"^engine 'cuda' finds no GPU on this machine; choose portable or auto$"):
        lowered(bank_of("option_a"), "cuda")


@pytest.mark.parametrize("name", ["stem64", "option_a", "inverted_residual"])
def test_all_steps_run_on_the_device_of_the_engine(name, monkeypatch):
    """A device without data runs every step; only the outputs cannot be copied back."""
    bank = bank_of(name)
    halved = LayerChoice(granularity="filter", keep_ratio=0.5)
    specs = bank.network.layers.items()
    stitched = bank.stitch({layer: halved if spec.coupling else LayerChoice() for layer, spec in specs})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(CudaEngine, "device", "meta")
    network = lower(stitched, engine="cuda")
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        network(images(2, *NETWORKS[name][1]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
@pytest.mark.parametrize("name", [*NETWORKS, *MORE])
@pytest.mark.parametrize("bits", [8, 3])
def test_a_gpu_gives_the_same_bits(name, bits):
    if name in NETWORKS:
        bank, x = bank_of(name), images(5, *NETWORKS[name][1], seed=1)
    else:
        forward, modules = MORE[name]
        bank, x = bank_for(Net(forward, **modules, fc=nn.Linear(8, 5)), 3, 8, 8), images(5, 3, 8, 8, seed=1)
    stitched, network = lowered(bank, "cuda", weight_bits=bits, activation_bits=bits)
    assert any(buffer.is_cuda for buffer in network.buffers())
    oracle = lower(stitched, engine="portable")(x)
    given = network(x)
    assert given.device == x.device
    assert torch.equal(given, oracle)
    assert torch.equal(network(x[2:3]), oracle[2:3])
    values, outputs = Reference(
        bank.stitch_locally(dict.fromkeys(bank.network.layers, LayerChoice())), engine="cuda"
    ).run(x)
    assert any(tensor.is_cuda for tensor in values.values())
    assert not outputs.is_cuda


def test_an_engine_that_does_not_work(monkeypatch):
    monkeypatch.setattr("rlcompress.integer.lowering.int8_works", lambda: False)
    assert lowered(bank_of("option_a"), "auto")[1].engine == "portable"
    with pytest.raises(RunError, match=r"^engine 'int8' does not work on this machine; choose portable or auto$"):
        lowered(bank_of("option_a"), "int8")


def test_networks_without_ranges_or_with_several_outputs():
    bank = bank_of("option_a")
    with pytest.raises(RunError, match=r"^quantizer_x has no range; lower networks that Candidates.stitch gives$"):
        lower(bank.template())
    stitched = copy.deepcopy(lowered(bank)[0])
    output = next(node for node in stitched.graph.nodes if node.op == "output")
    output.args = ((output.args[0], output.args[0]),)
    with pytest.raises(NetworkError, match="returns several values; wrap it"):
        lower(stitched)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("offset", [5.0, 15.0, 30.0, 100.0])
def test_inputs_far_from_zero(offset, bits):
    """BatchNorm takes them back to zero by a bias of many output ranges."""
    norm = nn.BatchNorm2d(16, momentum=None)
    network = Net(lambda s, x: s.b(F.relu(s.norm(s.a(x)))), a=nn.Conv2d(3, 16, 3), norm=norm, b=conv(16, 4))
    x = images(64, 3, 8, 8, seed=5) + offset
    with torch.no_grad():
        norm.train()(network.a(x))
    bank = Candidates(trace(network.eval(), torch.zeros(1, 3, 8, 8)), x)
    choices = dict.fromkeys(bank.network.layers, LayerChoice(weight_bits=8, activation_bits=bits))
    choices[next(iter(choices))] = LayerChoice()
    stitched = bank.stitch(choices)
    dense, simulated = bank.network.graph(x), stitched(x)
    given = [lower(stitched, engine=engine)(x) for engine in ("portable", "auto")]
    assert torch.equal(*given)
    wanted, error = dense - dense.mean(), torch.linalg.vector_norm
    assert error(given[0] - dense) < 1.5 * error(simulated - dense) + 0.01 * error(wanted)
