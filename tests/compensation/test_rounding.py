import copy

import pytest
import torch
from torch import nn

from rlcompress.candidates import TIERS, Candidates, check_tier
from rlcompress.compensation import RoundedLayer, learn_rounding, output_error
from rlcompress.compensation.learned import LearnedRange, LearnedWeight, Watched
from rlcompress.compensation.rounding import distance
from rlcompress.errors import RunError
from rlcompress.network.trace import trace
from rlcompress.quantization import ActivationQuantizer, ActivationRange, QuantizedWeight
from rlcompress.spec import LayerChoice
from tests.small_networks import InvertedResidual, OptionAResNet, PerPixel, images

SHAPE = (3, 8, 8)
X = images(48, *SHAPE)
CHOICES = {
    "3 bits": LayerChoice(weight_bits=3, activation_bits=6),
    "ternary": LayerChoice(weight_bits=2, activation_bits=5),
    "element": LayerChoice(granularity="element", keep_ratio=0.5, weight_bits=4, activation_bits=4),
    "filter": LayerChoice(granularity="filter", keep_ratio=0.5, weight_bits=4, activation_bits=4),
}


@pytest.fixture(scope="module", params=[OptionAResNet, InvertedResidual])
def bank(request):
    return Candidates(trace(request.param(), torch.zeros(1, *SHAPE)), X, repair="t2:20")


def policy(bank, choice):
    last = list(bank.network.layers)[-1]
    return {name: LayerChoice() if name == last else choice for name in bank.network.layers}


def start(bank, choices):
    """The network before its rounding is learned, and what it starts from."""
    network = bank.stitch(choices)
    return network, {name: bank._rounded(name, choices, network) for name in bank.network.layers}


def objective(bank, network):
    """What learned rounding makes small, on all images."""
    quantizers = [n for n, m in network.named_modules() if isinstance(m, ActivationQuantizer)]
    have, wanted = (Watched(copy.deepcopy(n), quantizers)(X, {}) for n in (network, bank.template()))
    return float(distance(have, wanted))


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_values_come_nearer_and_codes_do_not_move_far(bank, choice):
    choices = policy(bank, choice)
    network, layers = start(bank, choices)
    before, moved = objective(bank, network), 0
    learned = learn_rounding(network, bank.template(), layers, X, steps=80)
    if choice.granularity != "none":  # ternary weights of so small a network may get stuck
        assert objective(bank, network) < before
    for name, layer in layers.items():
        codes, was = learned[name].codes, layer.weight.codes
        assert codes.dtype == was.dtype
        assert int((codes - was).abs().max()) <= max(1, round(0.15 * layer.limit))
        assert int(codes.abs().max()) <= layer.limit
        assert not codes[~layer.kept].any()
        module = network.get_submodule(name)
        assert torch.equal(module.weight, learned[name].dequantized())
        assert torch.equal(module.codes, codes)
        assert torch.equal(module.scale, learned[name].scale)
        moved += int((codes != was).sum())
    assert moved > 0


def test_what_pruning_removed_stays_removed(bank):
    _, layers = start(bank, policy(bank, CHOICES["element"]))
    for name, layer in list(layers.items())[:-1]:
        assert float(layer.kept.float().mean()) <= 0.51, name
    choices = policy(bank, CHOICES["filter"])
    network, layers = start(bank, choices)
    learn_rounding(network, bank.template(), layers, X, steps=20)
    stitched = bank.stitch(choices)
    for name in layers:
        gone = (stitched.get_submodule(name).weight.flatten(1) == 0).all(1) & (stitched.get_submodule(name).bias == 0)
        assert not network.get_submodule(name).weight[gone].any()


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_the_second_tier_is_not_below_the_first(bank, choice):
    first = Candidates(bank.network, X)
    choices = policy(bank, choice)
    held = X[torch.arange(len(X)) % 8 == 7]
    dense = bank.network.graph(held).detach()
    errors = [output_error([b.final(choices)(held)], [dense]) for b in (first, bank)]
    assert errors[1] <= errors[0]


def test_the_same_choices_give_the_same_network(bank):
    choices, seen = policy(bank, CHOICES["3 bits"]), []
    again = Candidates(bank.network, X, repair="t2:20")
    again.on_step = lambda i, n: seen.append((i, n))
    final = again.final(choices)
    assert seen == [(i + 1, 20) for i in range(20)]
    assert torch.equal(final(X), bank.final(choices)(X))
    assert again.final(choices) is final


def test_learning_works_where_gradients_are_off(bank):
    choices = policy(bank, CHOICES["3 bits"])
    again = Candidates(bank.network, X, repair="t2:20")
    with torch.no_grad():
        final = again.final(choices)
    assert torch.equal(final(X), bank.final(choices)(X))


def test_one_image_is_enough():
    bank = Candidates(trace(InvertedResidual(), torch.zeros(1, *SHAPE)), X[:1], repair="t2:20")
    assert bank.final(policy(bank, CHOICES["3 bits"]))(X).isfinite().all()


def test_gradients_of_a_learned_range_by_hand():
    module = LearnedRange(ActivationRange(scale=0.5, zero_point=0, bits=2))
    x = torch.tensor([-1.0, 0.6, 1.4, 9.0], requires_grad=True)
    y = module(x)
    assert y.tolist() == [0.0, 0.5, 1.5, 1.5]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    slope = 0.0 + (1 - 1.2) + (3 - 2.8) + 3  # of the scale; times the scale, since its logarithm is learned
    assert float(module.log_scale.grad) == pytest.approx(0.5 * slope, rel=1e-5)


def test_positions_start_at_the_codes_and_keep_near_them():
    codes, kept = torch.tensor([[1, 0, -3, 0]], dtype=torch.int8), torch.tensor([[True, True, True, False]])
    weight = LearnedWeight(RoundedLayer(QuantizedWeight(codes, torch.ones(1)), kept, 3))
    assert torch.equal(weight.position.detach(), codes.float())
    assert torch.equal(weight.quantized().codes, codes)
    assert weight.low.tolist()[0] == pytest.approx([-0.49, -1.49, -3.49, 0.0])
    assert weight.high.tolist()[0] == pytest.approx([2.49, 1.49, -1.51, 0.0])


def test_codes_of_many_bits_move_as_far_as_those_of_few_for_their_size():
    codes, kept = torch.tensor([[70, -127]], dtype=torch.int8), torch.ones(1, 2, dtype=torch.bool)
    weight = LearnedWeight(RoundedLayer(QuantizedWeight(codes, torch.ones(1)), kept, 127))
    with torch.no_grad():
        weight.position.sub_(0.5)  # half of a seventh of the largest code
    assert weight.codes().tolist() == [[61.0, -136.0]]
    with torch.no_grad():
        weight.position.clamp_(weight.low, weight.high)
    assert weight.quantized().codes.tolist() == [[61, -127]]
    with torch.no_grad():
        weight.position.sub_(9.0).clamp_(weight.low, weight.high)
    assert weight.quantized().codes.tolist() == [[51, -127]]


def test_outputs_that_are_pixels_are_learned_from_crops():
    pixels = images(16, 3, 80, 96)
    bank = Candidates(trace(PerPixel(), pixels[:1], name="per_pixel"), pixels, repair="t2:20")
    choices = dict.fromkeys(bank.network.layers, CHOICES["element"])
    network, layers = start(bank, choices)
    wanted = bank.template()(pixels)
    before = output_error([network(pixels)], [wanted])
    learn_rounding(network, bank.template(), layers, pixels, steps=60)
    assert output_error([network(pixels)], [wanted]) < 0.9 * before


def test_unknown_tiers_are_refused():
    with pytest.raises(RunError, match=f"unknown repair 't9'; choose from {', '.join(TIERS)}, or t2:STEPS such as"):
        Candidates(trace(InvertedResidual(), torch.zeros(1, *SHAPE)), X, repair="t9")


def test_a_tier_may_say_how_many_steps_it_takes():
    bank = Candidates(trace(OptionAResNet(), torch.zeros(1, *SHAPE)), X, repair="t2:3")
    steps = []
    bank.on_step = lambda done, of: steps.append((done, of))
    bank.final(policy(bank, CHOICES["element"]))
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("repair", ["t1:600", "t2:0", "t2:", "t2:-1", "t2:fast", "t2 :9", "T2", ""])
def test_steps_are_for_learned_rounding_and_whole(repair):
    with pytest.raises(RunError, match=r"^unknown repair '.*'; choose from .*, or t2:STEPS such as t2:1800$"):
        check_tier(repair)


def test_ranges_are_learned(bank):
    choices = policy(bank, CHOICES["3 bits"])
    network, layers = start(bank, choices)
    before = [m.range for m in network.modules() if isinstance(m, ActivationQuantizer)]
    learn_rounding(network, bank.template(), layers, X, steps=5)
    after = [m.range for m in network.modules() if isinstance(m, ActivationQuantizer)]
    assert [(r.bits, r.zero_point) for r in before] == [(r.bits, r.zero_point) for r in after]
    assert all(a.scale != b.scale for a, b in zip(after, before, strict=True))


def test_removed_channels_stay_removed():
    """With LeakyReLU the tensors behind them are not what the dense network gives, and biases would learn that."""
    model = InvertedResidual()
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.ReLU6):
            model.set_submodule(name, nn.LeakyReLU(0.1))
    bank = Candidates(trace(model, torch.zeros(1, *SHAPE)), X, repair="t2:10")
    choices = policy(bank, CHOICES["filter"])
    network, layers = start(bank, choices)
    removed = {name: ~layer.kept.flatten(1).any(1) for name, layer in layers.items()}
    assert any(bool(of.any()) for of in removed.values())
    biases = {name: network.get_submodule(name).bias.clone() for name in layers}
    learn_rounding(network, bank.template(), layers, X, steps=10)
    for name, of in removed.items():
        assert not network.get_submodule(name).bias[of & (biases[name] == 0)].any()
        assert (network.get_submodule(name).bias[~of] != biases[name][~of]).any()
