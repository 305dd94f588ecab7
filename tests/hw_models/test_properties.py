"""What holds for every description: fewer bits, channels or nonzeros never cost more; parts sum to the whole.

Declared steps are left out: a processor unpacks weights below 8 bits; Ethos-U picks other blocks for fewer channels;
Bit Fusion's compiler looks at cycles first, so that at a step of its schedules the time of a layer may rise by its
first tiles (below 1 %).
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress import hw_models
from rlcompress.hw_models.figures import LEVELS
from rlcompress.spec import ChoiceBatch, LayerChoice, NetworkStructure
from tests.hw_models.networks import residual_network, without_depthwise

NAMES = hw_models.available()
MODELS = {name: hw_models.load(name) for name in NAMES}
NETWORK = NetworkStructure(residual_network())
PLAIN = NetworkStructure(without_depthwise(residual_network()))
FINE = ("element", "n:m", "block", "pattern", "kernel", "channel")
COUPLED = ("one", "dw")

BITS = st.integers(2, 8)
KEEP = st.integers(4, 19).map(lambda n: round(n * 0.05, 2))


@st.composite
def choices(draw):
    """A policy of the small network."""
    policy = {}
    for name in NETWORK.layers:
        granularity = draw(st.sampled_from(("none", *FINE)))
        keep = 1.0 if granularity == "none" else draw(KEEP)
        bits = {"weight_bits": draw(BITS), "activation_bits": draw(BITS)}
        policy[name] = LayerChoice(granularity=granularity, keep_ratio=keep, **bits)
    if draw(st.booleans()):
        keep = draw(KEEP)
        policy |= {n: policy[n].model_copy(update={"granularity": "filter", "keep_ratio": keep}) for n in COUPLED}
    return policy


@st.composite
def reductions(draw):
    """A policy and one that has fewer bits, or keeps less, in one place."""
    policy = draw(choices())
    name = draw(st.sampled_from(NETWORK.layers))
    key = draw(st.sampled_from(("weight_bits", "activation_bits", "keep_ratio")))
    choice = policy[name]
    if key == "keep_ratio":
        less = {"keep_ratio": round(draw(st.integers(1, 19)) * choice.keep_ratio * 0.05, 4)}
        if choice.granularity == "none":
            less["granularity"] = draw(st.sampled_from(FINE))
    else:
        less = {key: draw(st.integers(2, getattr(choice, key)))}
    names = COUPLED if choice.granularity == "filter" and key == "keep_ratio" else (name,)
    return policy, {**policy, **{n: policy[n].model_copy(update=less) for n in names}}, key


def network_of(model):
    return NETWORK if "depthwise" in model.description.kinds else PLAIN


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(pair=reductions())
def test_less_never_costs_more(name, pair):
    model = MODELS[name]
    dense, reduced, key = pair
    if getattr(model.description.array, "unpack", 0) and key == "weight_bits":
        return
    network = network_of(model)
    cost = model.costs(network, ChoiceBatch.of([dense, reduced], network.layers))
    slack = 1.01 if model.description.traffic.goal == "cycles" else 1 + 1e-9
    assert cost.energy_pj[1] <= cost.energy_pj[0] * slack
    if model.description.array.type != "microblock":
        assert cost.latency_s[1] <= cost.latency_s[0] * slack


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5, deadline=None)
@given(policy=choices())
def test_parts_sum_to_the_whole_and_batch_equals_single(name, policy):
    model = MODELS[name]
    network = network_of(model)
    cost = model.cost(network, policy)
    batch = model.costs(network, ChoiceBatch.of([policy, policy], network.layers))
    assert batch.energy_pj.tolist() == pytest.approx([cost.energy_uj * 1e6] * 2)
    assert batch.latency_s.tolist() == pytest.approx([cost.latency_s] * 2)
    assert sum(cost.energy_pj.values()) == pytest.approx(cost.energy_uj * 1e6)
    assert sum(batch.level_pj[level][0].sum() for level in LEVELS) == pytest.approx(cost.energy_uj * 1e6)
    assert all(value >= 0 for layer in cost.layers for value in layer.energy_pj.values())


@settings(max_examples=30, deadline=None)
@given(policy=choices())
def test_skipping_never_beats_the_nonzero_products(policy):
    """Cycles and energy of the sparse preset stay above ideal MACs times density."""
    model = MODELS["scalable_sparse_16x32"]
    for layer in model.cost(NETWORK, policy).layers:
        widths = [next(b for b in (2, 4, 8) if b >= bits) for bits in (layer.weight_bits, layer.activation_bits)]
        units = layer.macs * layer.weight_density / ((8 // widths[0]) * (8 // widths[1]))
        assert layer.cycles_by_bound["compute"] >= units / (16 * 32) * (1 - 1e-9)
        assert layer.energy_pj["MAC"] >= units * 0.459 * (1 - 1e-9)
