import itertools

import numpy as np
import pytest

from rlcompress.planning import ChoiceSpace, Knapsack, Proxy
from rlcompress.planning.batches import same
from rlcompress.spec import GRANULARITIES
from tests.planning.structures import CHAIN, RESIDUAL, random_table
from tests.planning.test_planner import every_policy

FILTER = GRANULARITIES.index("filter")


def additive(space, seed):
    """A cost that adds up over choices, and the proxy's error."""
    generator = np.random.default_rng(seed)
    weight, activation, removal = generator.lognormal(0, 1, (3, len(space.layers)))

    def cost(batch):
        own = np.where(batch.granularity == FILTER, 1.0, batch.keep_ratio)
        removed = np.where(batch.granularity == FILTER, batch.keep_ratio, 1.0)
        return (weight * own * batch.weight_bits + activation * batch.activation_bits + 8 * removal * removed).sum(1)

    proxy = Proxy(random_table(space, seed), space)
    return cost, lambda batch: proxy.predict(batch) * 1e3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_plans_are_the_best_of_all_policies_where_costs_add_up(seed):
    space = ChoiceSpace(CHAIN, granularities=("element",), min_bits=4, max_bits=6, min_keep_ratio=0.8)
    cost, error = additive(space, seed)
    policies = every_policy(space)
    costs, errors = cost(policies), error(policies)
    limits = np.quantile(errors, [0.05, 0.2, 0.5, 0.9])
    plans = Knapsack(space, cost, error).plans(limits)
    for limit in limits:
        best = costs[errors <= limit].min()
        found = min(float(cost(plan)[0]) for plan in plans if error(plan)[0] <= limit)
        assert found <= best * 1.002  # errors are counted in 4096ths of the largest limit


def test_plans_keep_ties_and_limits_and_grow_bolder():
    space = ChoiceSpace(RESIDUAL, granularities=("element", "filter"))
    cost, error = additive(space, 5)
    base = float(error(space.snapped(space.uniform(8)))[0])
    limits = base + np.geomspace(0.01, 10.0, 30)
    plans = Knapsack(space, cost, error).plans(limits)
    assert len(plans) > 10
    assert all(same(space.snapped(plan), plan) for plan in plans)
    assert any((plan.granularity == FILTER).any() for plan in plans)
    errors = [float(error(plan)[0]) for plan in plans]
    assert max(errors) <= limits[-1]
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(errors[::5]))
