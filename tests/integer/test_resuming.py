import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlcompress.integer import Reference, lower
from rlcompress.integer.network import Program
from rlcompress.integer.onednn import int8_works
from rlcompress.spec import LayerChoice
from tests.integer.networks import NETWORKS, SLOW, bank_of, policies
from tests.small_networks import images

needs_int8 = pytest.mark.skipif(not int8_works(), reason="this machine's int8 convolutions are not exact")
ENGINES = ["portable", pytest.param("int8", marks=needs_int8)]
SOME_SLOW = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NETWORKS]


def dense(bank):
    return dict.fromkeys(bank.network.layers, LayerChoice())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SOME_SLOW)
@given(data=st.data())
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_differs_from_some_layer_on_gives_the_bits_of_the_whole_network(name, engine, data):
    bank, x = bank_of(name), images(3, *NETWORKS[name][1], seed=1)
    reference = Reference(bank.stitch_locally(dense(bank)), engine=engine)
    values, outputs = reference.run(x)
    assert torch.equal(outputs, lower(bank.stitch_locally(dense(bank)), engine=engine)(x))
    drawn, first = data.draw(policies(bank)), data.draw(st.integers(0, len(bank.network.layers)))
    removed = bank.removed_classes(drawn)
    late = {layer: choice for i, (layer, choice) in enumerate(drawn.items()) if i >= first or removed}
    for choices in (dense(bank) | late, dense(bank)):
        stitched = bank.stitch_locally(choices)
        (resumed,) = reference.outputs([reference.changed(stitched)], values)
        assert torch.equal(resumed, lower(stitched, engine=engine)(x))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SOME_SLOW)
def test_networks_that_go_on_alike_are_run_together(name, engine):
    bank, x = bank_of(name), images(3, *NETWORKS[name][1], seed=1)
    reference = Reference(bank.stitch_locally(dense(bank)), engine=engine)
    values, _ = reference.run(x)
    changes = [{"weight_bits": 2}, {"weight_bits": 3}, {"granularity": "element", "keep_ratio": 0.5}]
    for layer in bank.network.layers:
        stitched = [bank.stitch_locally(dense(bank) | {layer: LayerChoice(**change)}) for change in changes]
        networks = [reference.changed(one) for one in stitched]
        assert len({network.joint for network in networks}) == 1
        for outputs, one in zip(reference.outputs(networks, values), stitched, strict=True):
            assert torch.equal(outputs, lower(one, engine=engine)(x))


def test_only_what_differs_is_lowered(monkeypatch):
    bank, x = bank_of("option_a"), images(3, *NETWORKS["option_a"][1])
    reference = Reference(bank.stitch_locally(dense(bank)), engine="portable")
    values, outputs = reference.run(x)
    added, add = [], Program.add
    monkeypatch.setattr(Program, "add", lambda p, *given, **options: added.append(p) or add(p, *given, **options))

    def steps(layer, **choice):
        added.clear()
        changed = reference.changed(bank.stitch_locally(dense(bank) | {layer: LayerChoice(**choice)}))
        assert not torch.equal(reference.outputs([changed], values)[0], outputs)
        return len(added)

    layers = list(bank.network.layers)
    assert steps(layers[1], weight_bits=3) == 1
    assert steps(layers[1], activation_bits=3) > 1  # the layer before and all that read what it stores
    assert steps(layers[0], granularity="filter", keep_ratio=0.5) > steps(layers[1], activation_bits=3)
