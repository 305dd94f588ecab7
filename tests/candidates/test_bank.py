import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rlcompress.candidates import Candidates, final
from rlcompress.compensation import output_moments, refit
from rlcompress.errors import DataError, NetworkError, PolicyError, RunError
from rlcompress.integer import lower
from rlcompress.memory import MemoryShares
from rlcompress.network.trace import trace
from rlcompress.pruning import CRITERIA
from rlcompress.quantization import ActivationQuantizer
from rlcompress.spec import FIXED_KEEP_RATIOS, GRANULARITIES, LayerChoice, applies, keep_count
from tests.small_networks import InvertedResidual, Net, OptionAResNet, conv, images

SHAPE = (3, 8, 8)
X = images(24, *SHAPE)


def traced(network):
    return trace(network, torch.zeros(1, *SHAPE))


@pytest.fixture(scope="module", params=[OptionAResNet, InvertedResidual])
def bank(request):
    return Candidates(traced(request.param()), X)


def choices_of(bank, choice=None, **changes):
    return {name: changes.get(name.replace(".", "_"), choice or LayerChoice()) for name in bank.network.layers}


def relative_error(bank, choices, x):
    dense = bank.network.graph(x).detach()
    return float((bank.stitch(choices)(x) - dense).square().mean() / dense.var())


def test_eight_bits_stay_close_and_fewer_bits_go_away(bank):
    errors = [
        relative_error(bank, choices_of(bank, LayerChoice(weight_bits=b, activation_bits=b)), X)
        for b in (16, 8, 5, 3, 2)
    ]
    assert errors[0] < 1e-5
    assert errors[1] < 1e-3
    assert errors == sorted(errors)


def test_refining_brings_the_outputs_nearer_on_other_images(bank):
    refined, others, ratios = Candidates(bank.network, images(192, *SHAPE)), images(64, *SHAPE, seed=5), []
    dense = bank.network.graph(others).detach()
    for bits in (2, 3, 4, 5):
        choices = choices_of(refined, LayerChoice(granularity="element", keep_ratio=0.5, activation_bits=bits))
        networks = lower(refined.stitch(choices)), lower(refined.final(choices))
        errors = [float((n(others) - dense).square().mean()) for n in networks]
        ratios.append(errors[1] / errors[0])
    assert max(ratios) <= 1.05  # weights are refitted where that helps on images held out
    assert sorted(ratios)[1] < 0.95


def test_the_template_is_the_dense_network(bank):
    torch.testing.assert_close(bank.template()(X), bank.network.graph(X), atol=1e-4, rtol=1e-4)


def test_same_choices_same_network(bank):
    choices = choices_of(bank, LayerChoice(granularity="element", keep_ratio=0.5, weight_bits=3, activation_bits=4))
    first, again = bank.stitch(choices)(X), bank.stitch(choices)(X)
    assert torch.equal(first, again)
    fresh = Candidates(bank.network, X)
    assert torch.equal(fresh.stitch(choices)(X), first)
    for name in bank.network.layers:
        assert bank.weights(name, choices) is bank.weights(name, choices)
        assert torch.equal(bank.weights(name, choices).codes, fresh.weights(name, choices).codes)
        assert torch.equal(bank.weights(name, choices).scale, fresh.weights(name, choices).scale)


def test_stitching_leaves_the_dense_network_alone(bank):
    before = bank.network.graph(X).detach()
    bank.stitch(choices_of(bank, LayerChoice(weight_bits=2, activation_bits=2)))
    assert torch.equal(bank.network.graph(X), before)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("keep_ratio", [0.05, 0.5])
def test_codes_are_in_range_and_as_sparse_as_asked_for(bank, bits, keep_ratio):
    choices = choices_of(bank, LayerChoice(granularity="element", keep_ratio=keep_ratio, weight_bits=bits))
    for name, spec in bank.network.layers.items():
        weight = bank.weights(name, choices)
        assert weight.codes.shape == bank.network.layer(name).weight.shape
        assert weight.codes.dtype == (torch.int8 if bits <= 8 else torch.int16)
        assert int(weight.codes.abs().max()) <= 2 ** (bits - 1) - 1
        assert int((weight.codes != 0).sum()) <= keep_count(spec.weights, keep_ratio)
        assert (weight.scale > 0).all()


def test_removed_channels_have_no_codes_no_bias_and_scale_one(bank):
    group = bank.network.structure.groups[0]
    layers = [name for name, spec in bank.network.layers.items() if spec.coupling == group]
    changes = {n.replace(".", "_"): LayerChoice(granularity="filter", keep_ratio=0.5) for n in layers}
    choices = choices_of(bank, **changes)
    removed, network = bank.removed_classes(choices), bank.stitch(choices)
    for name in bank.network.layers:
        gone = torch.tensor([int(c) in removed for c in bank.network.classes[name]])
        weight = bank.weights(name, choices)
        assert int(gone.sum()) == (len(gone) - keep_count(len(gone), 0.5) if name in layers else 0)
        assert not weight.codes[gone].any()
        assert torch.equal(weight.scale[gone], torch.ones(int(gone.sum())))
        assert not network.get_submodule(name).bias[gone].any()
        if bank.network.layers[name].groups == 1:
            gone_inputs = torch.tensor([int(c) in removed for c in bank.network.input_classes[name]])
            assert not weight.codes[:, gone_inputs].any()


def test_refit_of_the_readers_helps(bank):
    group = bank.network.structure.groups[1]
    changes = {
        name.replace(".", "_"): LayerChoice(granularity="filter", keep_ratio=0.75)
        for name, spec in bank.network.layers.items()
        if spec.coupling == group
    }
    assert relative_error(bank, choices_of(bank, **changes), X) < 1.0


def test_activations_are_rounded_at_the_width_of_their_readers(bank):
    network = bank.stitch(choices_of(bank, LayerChoice(activation_bits=3)))
    quantizers = {n: m for n, m in network.named_modules() if isinstance(m, ActivationQuantizer)}
    assert set(quantizers) == {f"quantizer_{stored}" for stored in bank.network.reads.values()}
    assert {quantizer.range.bits for quantizer in quantizers.values()} == {3}
    layer = next(iter(bank.network.layers))
    assert bank.range(layer, 3) == quantizers[f"quantizer_{bank.network.reads[layer]}"].range


def test_layers_read_rounded_values(bank):
    network, distinct = bank.stitch(choices_of(bank, LayerChoice(activation_bits=2))), {}
    for name in bank.network.layers:
        network.get_submodule(name).register_forward_pre_hook(
            lambda _module, inputs, name=name: distinct.update({name: len(inputs[0].unique())})
        )
    network(X)
    assert all(1 < count <= 4 for count in distinct.values())
    assert set(distinct) == set(bank.network.layers)


def test_layers_far_from_what_is_removed_are_not_computed_again(bank):
    last = list(bank.network.layers)[-1]
    group = bank.network.structure.groups[1]  # inside a block: the classifier does not see its channels
    changes = {
        name.replace(".", "_"): LayerChoice(granularity="filter", keep_ratio=0.5)
        for name, spec in bank.network.layers.items()
        if spec.coupling == group
    }
    assert bank.weights(last, choices_of(bank, **changes)) is bank.weights(last, choices_of(bank))


def test_densities_are_shares_of_nonzero_inputs(bank):
    stem = next(iter(bank.network.layers))
    assert bank.densities[stem] == 1.0
    assert set(bank.densities) == set(bank.network.layers)
    assert all(0 < density <= 1 for density in bank.densities.values())


def damaged(what):
    network = Net(
        lambda s, x: s.fc(F.relu(s.d(F.relu(s.b(F.relu(s.a(x)))))).mean((2, 3))),
        a=conv(3, 6), b=conv(6, 6), d=conv(6, 6, groups=6), fc=nn.Linear(6, 4),
    )  # fmt: skip
    if what == "zero weights":
        network.b.weight.data.zero_()
    elif what == "zero rows":
        network.b.weight.data[::2] = 0
    elif what == "dead inputs":
        network.a.weight.data.zero_()
        network.a.bias.data.fill_(-1.0)
    elif what == "dead channels":
        network.a.bias.data[:3] = -1e4
    elif what == "tiny weights":
        network.b.weight.data *= 1e-38
    return network


@pytest.mark.parametrize("what", ["zero weights", "zero rows", "dead inputs", "dead channels", "tiny weights"])
@pytest.mark.parametrize(
    "choice",
    [
        LayerChoice(),
        LayerChoice(weight_bits=2, activation_bits=2),
        LayerChoice(granularity="element", keep_ratio=0.1, weight_bits=4),
        LayerChoice(granularity="filter", keep_ratio=0.5),
    ],
    ids=["8 bits", "2 bits", "element", "filter"],
)
def test_damaged_networks_give_no_nan(what, choice):
    bank = Candidates(traced(damaged(what)), X)
    choices = choices_of(bank, choice, fc=LayerChoice())
    assert bank.stitch(choices)(X).isfinite().all()
    for name in bank.network.layers:
        assert bank.weights(name, choices).dequantized().isfinite().all()


def test_one_image_is_enough():
    bank = Candidates(traced(InvertedResidual()), X[:1])
    assert bank.stitch(choices_of(bank, LayerChoice(weight_bits=4)))(X).isfinite().all()


def test_no_image_is_not():
    with pytest.raises(DataError, match="calibration set is empty"):
        Candidates(traced(InvertedResidual()), X[:0])


def test_images_of_another_shape():
    network = traced(OptionAResNet())
    for shape in ((4, 8, 8), (8, 8)):
        with pytest.raises(DataError, match=r"have shape \(.*8, 8\), but OptionAResNet takes \(3, 8, 8\)"):
            Candidates(network, images(4, *shape))
    flat = traced(Net(lambda s, x: s.fc(s.a(x).flatten(1)), a=conv(3, 4), fc=nn.Linear(256, 5)))
    with pytest.raises(DataError, match=r"have shape \(3, 9, 9\), but Net takes \(3, 8, 8\)"):
        Candidates(flat, images(4, 3, 9, 9))


def test_images_of_one_colour():
    with pytest.raises(DataError, match="calibration images are all of one colour"):
        Candidates(traced(InvertedResidual()), torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1).expand(5, *SHAPE))


@pytest.mark.parametrize("what", ["zero weights", "dead inputs", "dead channels", "tiny weights"])
def test_damaged_networks_are_finished_without_nan(what):
    bank = Candidates(traced(damaged(what)), X, repair="t2:3")
    choices = choices_of(bank, LayerChoice(weight_bits=3, activation_bits=4), fc=LayerChoice())
    assert bank.final(choices)(X).isfinite().all()


def test_images_that_are_not_finite():
    with pytest.raises(DataError, match=r"^calibration images are not finite; check the data and its mean and std$"):
        Candidates(traced(InvertedResidual()), torch.full((2, *SHAPE), torch.nan))


@pytest.mark.parametrize(("layer", "part", "value"), [("b", "weight", torch.inf), ("fc", "bias", torch.nan)])
def test_weights_that_are_not_finite_are_named(layer, part, value):
    network = damaged("nothing")
    getattr(network.get_submodule(layer), part).data.view(-1)[0] = value
    with pytest.raises(NetworkError, match=f"^layer '{layer}': its weights are not finite; "):
        Candidates(traced(network), X)


@pytest.mark.parametrize("factor", [1e14, 1e30])
def test_inputs_beyond_float32s_reach_are_named(factor):
    network = damaged("nothing")
    network.a.weight.data *= factor
    with pytest.raises(DataError, match=r"^layer 'b': calibration images give inputs that are not finite or beyond"):
        Candidates(traced(network), X)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_equal_filters_make_a_singular_hessian_and_no_nan(criterion):
    network = damaged("nothing")
    network.a.weight.data[:] = network.a.weight.data[:1].clone()
    network.a.bias.data.fill_(0.1)
    bank = Candidates(traced(network), X, criterion=criterion)
    assert torch.linalg.matrix_rank(bank._dense["b"].hessian) < 54
    for choice in (LayerChoice(weight_bits=2), LayerChoice(granularity="element", keep_ratio=0.3)):
        assert bank.stitch(choices_of(bank, choice, fc=LayerChoice()))(X).isfinite().all()


@pytest.mark.parametrize("repair", ["t1", "t2:3"])
def test_two_images_are_finished_without_nan(repair):
    bank = Candidates(traced(InvertedResidual()), X[:2], repair=repair)
    assert bank.final(choices_of(bank, LayerChoice(weight_bits=3, activation_bits=4)))(X).isfinite().all()


@pytest.mark.parametrize("granularity", [g for g in GRANULARITIES if g not in ("none", "filter")])
def test_every_granularity_removes_its_share_and_stays_closer_than_plain_masking(bank, granularity):
    keep = FIXED_KEEP_RATIOS.get(granularity, (0.5,))[-1]
    dense = choices_of(bank)
    for name, spec in bank.network.layers.items():
        if not applies(granularity, spec):
            continue
        choices = {**dense, name: LayerChoice(granularity=granularity, keep_ratio=keep)}
        codes, weight = bank.weights(name, choices).codes, bank.network.layer(name).weight
        assert int((codes != 0).sum()) <= keep * spec.weights + 0.5 * 9 * spec.out_channels  # half a channel rounds up
        if granularity == "n:m":
            assert ((codes.unflatten(1, (-1, 4)) != 0).sum(2) <= 2).all()
        masked = bank.template()
        masked.get_submodule(name).weight.copy_(weight * (codes != 0))
        plain = (masked(X) - bank.network.graph(X)).square().mean()
        repaired = (bank.stitch(choices)(X) - bank.network.graph(X)).square().mean()
        assert repaired < plain


def test_a_granularity_that_does_not_fit_the_layer_is_refused(bank):
    stem, last = next(iter(bank.network.layers)), list(bank.network.layers)[-1]
    for name, granularity in ((stem, "n:m"), (last, "pattern"), (last, "filter")):
        choices = {**choices_of(bank), name: LayerChoice(granularity=granularity, keep_ratio=0.5)}
        with pytest.raises(PolicyError, match=f"^layer '{name}': its shape cannot be pruned by '{granularity}'"):
            bank.weights(name, choices)
    name = list(bank.network.layers)[1]
    choices = {**choices_of(bank), name: LayerChoice(granularity="n:m", keep_ratio=0.75)}
    with pytest.raises(PolicyError, match=f"^layer '{name}': 'n:m' keeps 0.25 or 0.5, not 0.75; set keep_ratio to it$"):
        bank.weights(name, choices)


def test_channels_that_a_layer_ignores_are_made_up_for_by_the_others():
    bank = Candidates(traced(OptionAResNet()), X)
    choices = choices_of(bank, linear=LayerChoice(granularity="channel", keep_ratio=0.5))
    weight = bank.weights("linear", choices)
    ignored = (weight.codes == 0).all(0)
    assert int(ignored.sum()) == 8
    hessian = bank._dense["linear"].hessian
    dense = bank.network.layer("linear").weight[None]
    best = refit(dense, (~ignored).expand_as(dense), hessian)[0]
    assert (weight.dequantized() - best).abs().max() < 2 * weight.scale.max()


def test_unknown_criterion():
    with pytest.raises(RunError, match=r"^unknown criterion 'l3'; choose from l1, l2, activation, obs, "):
        Candidates(traced(InvertedResidual()), X, criterion="l3")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_criteria_can_be_chosen(criterion):
    bank = Candidates(traced(InvertedResidual()), X, criterion=criterion)
    choices = choices_of(bank, LayerChoice(granularity="element", keep_ratio=0.6))
    assert relative_error(bank, choices, X) < 1.0


def test_local_correction_needs_no_images_and_gives_the_dense_moments_to_a_layer():
    traced_network = traced(OptionAResNet())
    local = Candidates(traced_network, X, correction="local")
    name = "one.conv1"
    choices = {**choices_of(local, LayerChoice(weight_bits=16, activation_bits=16)), name: LayerChoice(weight_bits=2)}
    network = local.stitch(choices)
    have, want = (output_moments(n, [name], X)[name] for n in (network, local.template()))
    torch.testing.assert_close(have.mean, want.mean, atol=0.02, rtol=0.02)
    torch.testing.assert_close(have.std, want.std, atol=0.02, rtol=0.05)
    assert torch.equal(network(X), local.stitch(choices)(X))


def test_local_correction_is_for_candidates_alone():
    traced_network = traced(InvertedResidual())
    choices = {name: LayerChoice(weight_bits=3, activation_bits=5) for name in traced_network.layers}
    local, paired = (Candidates(traced_network, X, correction=name) for name in ("local", "paired"))
    assert not torch.equal(local.stitch(choices)(X), paired.stitch(choices)(X))
    assert torch.equal(local.final(choices)(X), paired.final(choices)(X))


def test_local_correction_leaves_removed_channels_alone():
    bank = Candidates(traced(OptionAResNet()), X, correction="local")
    group = bank.network.structure.groups[1]
    halved = LayerChoice(granularity="filter", keep_ratio=0.5)
    choices = {n: halved if s.coupling == group else LayerChoice() for n, s in bank.network.layers.items()}
    removed, network = bank.removed_classes(choices), bank.stitch(choices)
    for name in bank.network.layers:
        gone = torch.tensor([int(c) in removed for c in bank.network.classes[name]])
        assert not network.get_submodule(name).bias[gone].any()


def test_unknown_correction():
    with pytest.raises(RunError, match=r"^unknown correction 'none'; choose from paired, local$"):
        Candidates(traced(InvertedResidual()), X, correction="none")


def test_learned_rounding_alone_asks_for_further_images(monkeypatch):
    seen = []
    learn = final.learn_rounding
    monkeypatch.setattr(final, "learn_rounding", lambda *args: seen.append(args[3]) or learn(*args))

    def never():
        raise AssertionError

    network = traced(OptionAResNet())
    Candidates(network, X, learning=never, repair="t1")
    further = torch.randn(len(X), *X.shape[1:], generator=torch.Generator().manual_seed(5))
    bank = Candidates(network, X, learning=lambda: further, repair="t2:3")
    bank.final({name: LayerChoice(weight_bits=3, activation_bits=4) for name in network.layers})
    (images,) = seen
    held_out = len(range(7, 2 * len(X), 8))
    assert len(images) == 2 * len(X) - held_out
    assert any(torch.equal(images[-1], image) for image in further)


def test_ranges_are_those_of_all_calibration_images():
    network = traced(OptionAResNet())
    dark = X.abs() * 0.1
    mixed = torch.cat([dark, -X.abs()])
    first = next(iter(network.layers))
    of_dark, of_mixed = (Candidates(network, x, correction_images=4).range(first, 8) for x in (dark, mixed))
    assert of_dark.zero_point == 0
    assert of_mixed.zero_point > 200


def test_freed_memory_goes_back_when_something_is_kept_and_memory_is_bounded(monkeypatch):
    given_back = []
    monkeypatch.setattr("rlcompress.candidates.bank.return_freed_memory", lambda: given_back.append(1))
    network = trace(OptionAResNet(), torch.zeros(1, *SHAPE))
    free = Candidates(network, X)
    free.final(dict.fromkeys(network.layers, LayerChoice()))
    assert not given_back
    bounded = Candidates(network, X, memory=MemoryShares())
    made = len(given_back)
    assert made == len(network.layers) + 1
    bounded.stitch(dict.fromkeys(network.layers, LayerChoice(granularity="element", keep_ratio=0.5)))
    made += 2 * len(network.layers)  # stages, and weights that go by them
    assert len(given_back) == made
    bounded.final(dict.fromkeys(network.layers, LayerChoice()))
    assert len(given_back) > made
