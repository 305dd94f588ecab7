import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rlcompress.planning.alternatives
import rlcompress.planning.planner
from rlcompress.planning import ChoiceSpace, Planner, Proxy
from rlcompress.planning.batches import repeated, row, same
from rlcompress.spec import ChoiceBatch, NetworkStructure
from tests.planning.structures import CHAIN, RESIDUAL, random_table


def log_cost_of(structure: NetworkStructure, seed: int):
    """Bits moved and multiplied, with channels that removed filters take along, and an expensive layer or two."""
    price = np.random.default_rng(seed).lognormal(0, 1, len(structure.layers))

    def log_cost(batch):
        outputs, inputs = (kept[:, structure.layer_index] for kept in structure.kept_channels(batch))
        weights = outputs * inputs * batch.keep_ratio * batch.weight_bits
        macs = outputs * inputs * batch.keep_ratio * batch.weight_bits * batch.activation_bits
        return np.log((price * (4 * weights + macs + 16 * inputs * batch.activation_bits)).sum(1))

    return log_cost


def planner_of(structure, seed, **space):
    choice_space = ChoiceSpace(structure, **space)
    return Planner(
        choice_space, Proxy(random_table(choice_space, seed), choice_space), log_cost_of(structure, seed), 0.5
    )


@pytest.mark.parametrize("structure", [CHAIN, RESIDUAL], ids=["chain", "residual"])
@given(seed=st.integers(0, 1000))
@settings(max_examples=8, derandomize=True)  # coordinate descent promises no order, but shows it
def test_the_path_goes_from_careful_to_bold(structure, seed):
    planner = planner_of(structure, seed)
    path = planner.path
    assert len(path) > 5
    costs = np.array([planner.log_cost(plan)[0] for plan in path])
    errors = np.array([planner.error(plan)[0] for plan in path])
    assert np.all(np.diff(costs) <= 1e-12)
    assert np.all(np.diff(errors) >= -1e-12)
    assert errors[0] < 0.01 < errors[-1]
    for plan in path:
        assert plan.shape == (1, len(planner.space.layers))
        assert same(planner.space.snapped(plan), plan)
    assert not any(same(a, b) for a, b in itertools.pairwise(path))


def every_policy(space):
    """All policies of a chain without coupling."""
    columns = []
    for i in range(len(space.layers)):
        least = max(space.min_bits, space.end_bits) if i in space.ends else space.min_bits
        bits = range(least, max(least, space.max_bits) + 1)
        columns.append([(g, k, w, a) for g, k in zip(*space.options(i), strict=True) for w in bits for a in bits])
    rows = np.array(list(itertools.product(*columns)))
    return ChoiceBatch(
        rows[..., 0].astype(np.int64), rows[..., 1], rows[..., 2].astype(np.int64), rows[..., 3].astype(np.int64)
    )


@pytest.mark.parametrize("seed", range(4))
def test_plans_are_close_to_the_best_of_all_policies(seed):
    widths = {"min_bits": 4, "max_bits": 6, "end_bits": 6}
    planner = planner_of(CHAIN, seed, granularities=("element", "filter"), min_keep_ratio=0.85, **widths)
    policies = every_policy(planner.space)
    costs, errors = planner.log_cost(policies), planner.error(policies)
    for plan in planner.path:
        cheaper = costs <= planner.log_cost(plan)[0] + 1e-9
        best = errors[cheaper].min()
        assert best <= planner.error(plan)[0] * (1 + 1e-9)
        assert planner.error(plan)[0] <= 1.1 * best + 1e-6


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_plans_find_what_lies_behind_a_step_of_the_cost(seed):
    planner = planner_of(CHAIN, seed, granularities=("filter",), min_bits=6, end_bits=8, min_keep_ratio=0.4)
    smooth, channels = planner.log_cost, CHAIN.kept_channels(planner.space.uniform(8))[0][0, CHAIN.layer_index[0]]

    def log_cost(batch):  # half of it goes as soon as the first tensor fits
        return smooth(batch) - 0.7 * (CHAIN.kept_channels(batch)[0][:, CHAIN.layer_index[0]] <= 0.6 * channels)

    planner.log_cost = log_cost
    policies = planner.space.snapped(every_policy(planner.space))
    costs, errors = log_cost(policies), planner.error(policies)
    for limit in np.geomspace(0.005, 0.1, 8):
        plan = planner.within(limit)
        assert planner.error(plan)[0] <= limit
        assert log_cost(plan)[0] <= costs[errors <= limit].min() + 0.02


@pytest.mark.parametrize("structure", [CHAIN, RESIDUAL], ids=["chain", "residual"])
def test_plans_stay_within_any_limit_that_one_can_keep(structure):
    planner = planner_of(structure, 1, min_bits=4, min_keep_ratio=0.5)
    careful, bold = (float(planner.error(plan)[0]) for plan in (planner.path[0], planner.path[-1]))
    for limit in (careful, careful * 1.01, 0.5 * (careful + bold), bold, 10 * bold):
        assert planner.error(planner.within(limit))[0] <= limit * (1 + 1e-9)
    assert planner.log_cost(planner.within(10 * bold))[0] <= planner.log_cost(planner.path[-1])[0] + 1e-9
    for limit in (0.0, 0.5 * careful):
        assert planner.error(planner.within(limit))[0] <= careful * (1 + 1e-9)


@given(seed=st.integers(0, 1000), limit=st.floats(1e-3, 0.3))
@settings(max_examples=10, deadline=None)
def test_filling_leaves_hardly_a_cheaper_change_within_the_limit(seed, limit):
    planner = planner_of(RESIDUAL, seed, min_bits=4, min_keep_ratio=0.5)
    careful, bold = planner.path[0], planner.path[-1]
    for start in (careful, bold):
        plan = planner.filled(start, limit)
        if planner.error(careful)[0] <= limit:
            assert planner.error(plan)[0] <= limit
        if planner.error(start)[0] <= limit:
            assert planner.log_cost(plan)[0] <= planner.log_cost(start)[0]
        if planner.error(plan)[0] <= limit:
            again = planner.filled(plan, limit)  # that looks at what was beaten at an earlier plan, too
            assert planner.log_cost(plan)[0] - planner.log_cost(again)[0] <= 0.01


def test_filling_spends_the_limit_where_it_saves_most():
    planner = planner_of(CHAIN, 3, granularities=(), min_bits=7, end_bits=8)
    careful = planner.path[0]
    changes = []
    for field in ("weight_bits", "activation_bits"):
        for layer in (1, 2):
            change = repeated(careful, 1)
            getattr(change, field)[0, layer] = 7
            change = planner.space.snapped(change)
            gain = planner.log_cost(careful)[0] - planner.log_cost(change)[0]
            added = planner.error(change)[0] - planner.error(careful)[0]
            if not same(change, careful):
                changes.append((gain / max(added, 1e-12), change))
    best = max(changes, key=lambda pair: pair[0])[1]
    assert same(planner.filled(careful, float(planner.error(best)[0]) * (1 + 1e-9)), best)


@pytest.mark.parametrize("structure", [CHAIN, RESIDUAL], ids=["chain", "residual"])
def test_plans_do_not_depend_on_how_many_alternatives_are_looked_at_together(structure, monkeypatch):
    wanted = planner_of(structure, 5)
    monkeypatch.setattr(rlcompress.planning.alternatives, "_MOST_CHOICES", 1)
    monkeypatch.setattr(rlcompress.planning.planner, "_AHEAD", 1)
    given = planner_of(structure, 5)
    for limit in (0.01, 0.05):
        assert same(given.within(limit), wanted.within(limit))
    assert len(given.path) == len(wanted.path)


def test_without_anything_to_choose_the_path_is_one_plan():
    planner = planner_of(CHAIN, 0, granularities=(), min_bits=8)
    assert len(planner.path) == 1
    assert same(planner.path[0], planner.space.uniform(8))


def test_row():
    batch = ChoiceSpace(CHAIN).uniform(4, policies=3)
    batch.weight_bits[1] = 7
    assert row(batch, 1).weight_bits.tolist() == [[7] * 4]
    assert not same(row(batch, 0), row(batch, 1))
