import pytest
import torch

from rlcompress.candidates import Candidates
from rlcompress.integer import lower
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
    changes = [row for row in rows if row.value != 8.0]
    done = [count for count, _ in progress]
    assert done == sorted(set(done))
    assert progress[-1] == (len(changes), len(changes))
    return bank, space, {(row.layer, row.factor, row.value): row for row in rows}


def mse(bank, **changed):
    """Of the integer network of 8 bits, some layers' choices changed, run from the images to the logits."""
    choices = {name: changed.get(name, LayerChoice()) for name in bank.network.layers}
    logits = lower(bank.stitch_locally(choices), engine="portable")(X)
    return float((logits - bank.template()(X)).square().mean())


@pytest.mark.parametrize(
    ("factor", "value", "choice"),
    [
        ("weight_bits", 3.0, LayerChoice(weight_bits=3)),
        ("activation_bits", 4.0, LayerChoice(activation_bits=4)),
        ("element", 0.4, LayerChoice(granularity="element", keep_ratio=0.4)),
    ],
)
def test_rows_are_what_a_change_adds_to_the_whole_network(measured, factor, value, choice):
    bank, _, rows = measured
    for layer in bank.network.layers:
        if (layer, factor, value) not in rows:
            continue
        reads = bank.network.reads
        together = [name for name in reads if reads[name] == reads[layer]] if factor == "activation_bits" else [layer]
        share = rows[layer, factor, 8.0].logit_mse if factor.endswith("_bits") else 0.0
        added = max(0.0, mse(bank, **dict.fromkeys(together, choice)) - mse(bank))
        assert rows[layer, factor, value].logit_mse == pytest.approx(added + share, rel=1e-3, abs=1e-6)
        assert 0 <= rows[layer, factor, value].kl <= 1


def test_clustered_widths_are_measured_as_such():
    bank = Candidates(trace(OptionAResNet(), torch.zeros(1, *SHAPE)), X)
    rows = {
        index_bits: measure_sensitivity(bank, ChoiceSpace(bank.network.structure, index_bits=index_bits), X)
        for index_bits in (0, 3)
    }
    factors = [
        {row.value: row.logit_mse for row in table if row.factor == "weight_bits" and row.layer == "two.conv1"}
        for table in rows.values()
    ]
    uniform, clustered = factors
    assert clustered[2.0] < uniform[2.0]
    assert clustered[3.0] < uniform[3.0]
    assert clustered[4.0] == pytest.approx(uniform[4.0], rel=0.1)


def test_filters_of_a_group_go_together_and_their_readers_make_up_for_them(measured):
    bank, _, rows = measured
    group = bank.network.structure.groups[0]
    names = [name for name, spec in bank.network.layers.items() if spec.coupling == group]
    added = mse(bank, **dict.fromkeys(names, LayerChoice(granularity="filter", keep_ratio=0.6))) - mse(bank)
    assert rows[names[0], "filter", 0.6].logit_mse == pytest.approx(added, rel=1e-3)
    assert not any((name, "filter", 0.6) in rows for name in names[1:])


def test_rows_of_8_bits_share_the_error_of_8_bits_everywhere(measured):
    bank, _, rows = measured
    shares = [row.logit_mse for (_, _, value), row in rows.items() if value == 8.0]
    assert min(shares) >= 0
    assert sum(shares) == pytest.approx(mse(bank), rel=1e-3)


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
                assert r.logit_mse > 0 or r.value > 0.5  # what little pruning adds may take from what rounding does
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


def test_a_bound_in_bytes_sets_how_many_images_run_at_once(measured):
    bank, space, rows = measured
    totals = []
    parts = measure_sensitivity(bank, space, X, lambda _, count: totals.append(count), most_bytes=10_000)
    assert totals[0] > len(rows)
    for row in parts:
        assert row.logit_mse == pytest.approx(rows[row.layer, row.factor, row.value].logit_mse, rel=1e-3, abs=1e-5)
