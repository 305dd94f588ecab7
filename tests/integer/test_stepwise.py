from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlcompress.integer import Stepwise, lower
from rlcompress.spec import LayerChoice
from tests.integer.networks import NETWORKS, bank_of, policies
from tests.integer.test_resuming import ENGINES, SOME_SLOW
from tests.small_networks import images


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SOME_SLOW)
@given(data=st.data())
@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_ranges_settled_one_after_the_other_give_the_bits_of_the_whole_network(name, engine, data):
    bank, x = bank_of(name), images(3, *NETWORKS[name][1], seed=1)
    stitched = bank.stitch(data.draw(policies(bank)))
    factors = data.draw(st.lists(st.sampled_from([0.8, 1.0, 1.3]), min_size=1, max_size=6))
    stepwise = Stepwise(stitched, x.split(2), engine=engine)
    for i, quantizer in enumerate(stepwise.quantizers):
        quantizer.range = replace(quantizer.range, scale=quantizer.range.scale * factors[i % len(factors)])
        if i % 3 == 0:
            assert torch.equal(torch.cat(list(stepwise.outputs())), lower(stitched, engine=engine)(x))
        stepwise.settle(quantizer)
    assert torch.equal(torch.cat(list(stepwise.outputs())), lower(stitched, engine=engine)(x))


def test_tensors_that_nothing_reads_any_more_are_dropped_and_their_layers_not_run_again():
    bank, x = bank_of("option_a"), images(2, *NETWORKS["option_a"][1], seed=1)
    stepwise = Stepwise(bank.stitch(dict.fromkeys(bank.network.layers, LayerChoice())), [x])
    runs, kept = [], []
    for quantizer in stepwise.quantizers:
        stepwise.settle(quantizer)
        kept.append(len(stepwise._values[0]) - 1)
        runs.append(len(stepwise._next().run()[0].instructions))
    assert max(kept) < len(stepwise.quantizers) / 2
    assert all(later <= earlier for earlier, later in pairwise(runs))
    assert runs[-1] < runs[0] / 4
