import pytest
import torch

from rlcompress.candidates import Candidates
from rlcompress.candidates.template import quantizer_name
from rlcompress.compensation import match_moments, output_moments
from rlcompress.network.trace import trace
from rlcompress.planning import ChoiceSpace, measure_sensitivity
from rlcompress.spec import GRANULARITIES, LayerChoice
from tests.small_networks import InvertedResidual, OptionAResNet, images

SHAPE = (3, 8, 8)
X = images(20, *SHAPE)


@pytest.fixture(scope="module", params=[OptionAResNet, InvertedResidual])
def measured(request):
    bank = Candidates(trace(request.param(), torch.zeros(1, *SHAPE)), X)
    space = ChoiceSpace(bank.network.structure)
    progress = []
    rows = measure_sensitivity(bank, space, X, lambda done, count: progress.append((done, count)))
    assert progress == [(i + 1, len(rows)) for i in range(len(rows))]
    return bank, space, {(row.layer, row.factor, row.value): row for row in rows}


def logits_of(bank, change):
    """The whole network run anew after ``change``, its moments matched on the same images."""
    network = bank.template()
    moments = output_moments(network, bank.network.layers, X)
    change(network)
    match_moments(network, moments, X)
    return network(X)


def mse(bank, logits):
    return float((logits - bank.template()(X)).square().mean())


@pytest.mark.parametrize(("factor", "value"), [("weight_bits", 3.0), ("activation_bits", 4.0), ("element", 0.4)])
def test_rows_are_what_the_whole_network_gives(measured, factor, value):
    bank, _, rows = measured
    for layer in bank.network.layers:
        if (layer, factor, value) not in rows:
            continue
        choices = {name: LayerChoice() for name in bank.network.layers}

        def change(network, layer=layer, choices=choices):
            if factor == "activation_bits":
                network.get_submodule(quantizer_name(bank.network.reads[layer])).range = bank.range(layer, int(value))
                return
            choices[layer] = (
                LayerChoice(weight_bits=3)
                if factor == "weight_bits"
                else LayerChoice(granularity="element", keep_ratio=value)
            )
            network.get_submodule(layer).weight.copy_(bank.weights(layer, choices).dequantized())

        expected = mse(bank, logits_of(bank, change))
        assert rows[layer, factor, value].logit_mse == pytest.approx(expected, rel=0.02, abs=1e-8)
        assert 0 <= rows[layer, factor, value].kl <= 1


def test_filters_of_a_group_go_together(measured):
    bank, _, rows = measured
    group = bank.network.structure.groups[0]
    names = [name for name, spec in bank.network.layers.items() if spec.coupling == group]
    choices = {name: LayerChoice() for name in bank.network.layers}
    choices |= {name: LayerChoice(granularity="filter", keep_ratio=0.6) for name in names}

    def change(network):
        for name in names:
            weight = bank.weights(name, choices).dequantized()
            network.get_submodule(name).weight.copy_(weight)
            network.get_submodule(name).bias.mul_((weight.flatten(1) != 0).any(1))

    assert rows[names[0], "filter", 0.6].logit_mse == pytest.approx(mse(bank, logits_of(bank, change)), rel=0.02)
    assert not any((name, "filter", 0.6) in rows for name in names[1:])


def test_everything_that_may_be_chosen_is_measured_once(measured):
    _, space, rows = measured
    for i, spec in enumerate(space.layers):
        measured_here = {factor for layer, factor, _ in rows if layer == spec.name}
        wanted = {"weight_bits", "element"}
        wanted |= {"activation_bits"} if space.reader[i] == i else set()
        wanted |= {"filter"} if spec.coupling and space.leader[i] == i else set()
        assert measured_here == wanted
    values = {factor: {v for _, f, v in rows if f == factor} for factor in ("weight_bits", "element", "filter")}
    assert {2.0, 8.0} <= values["weight_bits"]
    assert min(values["element"]) == min(values["filter"]) == space.keep_ratios[0]


def test_every_granularity_is_measured_where_it_is_offered():
    bank = Candidates(trace(InvertedResidual(), torch.zeros(1, *SHAPE)), X)
    space = ChoiceSpace(bank.network.structure, granularities=GRANULARITIES)
    rows = measure_sensitivity(bank, space, X[:4])
    for i, spec in enumerate(space.layers):
        values = {}
        for r in rows:
            if r.layer == spec.name and r.factor in GRANULARITIES:
                values.setdefault(r.factor, set()).add(r.value)
                assert r.logit_mse > 0
        offered = {GRANULARITIES[g] for g in space.options(i)[0]} - {"none"}
        assert set(values) == offered
        wanted = {"n:m": {0.25, 0.5}, "pattern": {0.45}}
        assert all(values[g] == wanted.get(g, {0.1, 0.2, 0.4, 0.6, 0.8}) for g in offered)


def test_more_bits_hurt_less(measured):
    _, space, rows = measured
    for layer in space.layers:
        errors = [rows[layer.name, "weight_bits", bits].logit_mse for bits in (2.0, 4.0, 8.0)]
        assert errors == sorted(errors, reverse=True)


def test_the_bank_is_left_as_it_was(measured):
    bank, _, _ = measured
    torch.testing.assert_close(bank.template()(X), bank.network.graph(X), atol=1e-5, rtol=1e-4)


def test_a_bound_in_bytes_sets_how_many_images_run_at_once():
    bank = Candidates(trace(OptionAResNet(), torch.zeros(1, *SHAPE)), X)
    space = ChoiceSpace(bank.network.structure, granularities=("none",))
    totals = []
    rows = measure_sensitivity(bank, space, X[:3], lambda _, count: totals.append(count), most_bytes=1)
    assert totals[0] == 3 * len(rows)
