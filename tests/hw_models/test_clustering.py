"""Clustered weights: stored and moved as indices, computed with at the codebook's width."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress import hw_models
from rlcompress.errors import HardwareError
from rlcompress.hw_models.engine import evaluate
from rlcompress.hw_models.model import HardwareModel
from rlcompress.hw_models.network import prepare
from rlcompress.hw_models.table_file import COLUMNS
from rlcompress.spec import ChoiceBatch, LayerChoice, NetworkStructure
from tests.hw_models.networks import residual_network, uniform, without_depthwise

NAMES = hw_models.available()
INDEXED = ("ethosu55_32", "ethosu55_64", "ethosu55_128", "ethosu55_256", "sparse_skip")
FINE = ("element", "n:m", "block", "pattern", "kernel", "channel")
NETWORK = NetworkStructure(residual_network())
PLAIN = NetworkStructure(without_depthwise(residual_network()))


def with_indices(name, index_bits=(2, 3, 4, 5, 6, 7)):
    """A shipped accelerator that stores indices of any width."""
    description = hw_models.load(name).description
    storage = description.storage.model_copy(update={"index_bits": index_bits})
    return HardwareModel(description.model_copy(update={"storage": storage}))


def network_of(model):
    return NETWORK if "depthwise" in model.description.kinds else PLAIN


@st.composite
def clustered_policies(draw):
    policy = {}
    for name in NETWORK.layers:
        granularity = draw(st.sampled_from(("none", *FINE)))
        keep = 1.0 if granularity == "none" else draw(st.integers(4, 19)) / 20
        bits = {"weight_bits": draw(st.integers(2, 7)), "activation_bits": draw(st.integers(2, 8))}
        quantizer = draw(st.sampled_from(("clustered", "clustered", "uniform")))
        policy[name] = LayerChoice(granularity=granularity, keep_ratio=keep, weight_quantizer=quantizer, **bits)
    return policy


def test_the_descriptions_that_store_indices_say_so():
    assert {name for name in NAMES if hw_models.load(name).widest_index} == set(INDEXED)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10, deadline=None)
@given(policy=clustered_policies())
def test_clustered_lies_between_narrow_and_eight_bit_weights(name, policy):
    """Of the same stored bits, 8-bit products cost no less than narrow ones; narrow storage no more than wide."""
    model = with_indices(name)
    network = network_of(model)
    work = prepare(network).work(ChoiceBatch.of([policy], network.layers), model._rules)
    indexed = work.codebook_bits > 0
    narrow = replace(work, weight_bits=work.stored_width, codebook_bits=0 * work.codebook_bits)
    wide = replace(work, stored_width=work.weight_bits)
    least, figures, most = (evaluate(one, model.description) for one in (narrow, work, wide))
    slack = 0.99 if model.description.traffic.goal == "cycles" else 1 - 1e-9  # as in test_properties
    assert np.all(figures.stored_weight_bits[indexed] < most.stored_weight_bits[indexed])
    assert np.all(figures.metadata_bits >= work.codebook_bits)
    assert np.all(figures.energy_pj.sum(axis=0) >= least.energy_pj.sum(axis=0) * slack)
    assert np.all(figures.cycles >= least.cycles * slack)
    if not getattr(model.description.array, "unpack", 0):
        assert np.all(figures.energy_pj.sum(axis=0) * slack <= most.energy_pj.sum(axis=0))
        assert np.all(figures.cycles * slack <= most.cycles)


@pytest.mark.parametrize("name", INDEXED)
def test_at_most_the_codebook_dearer_than_eight_bits(name):
    model = hw_models.load(name)
    network = network_of(model)
    eight = model.cost(network, uniform(network))
    for bits in range(2, model.widest_index + 1):
        cost = model.cost(network, uniform(network, weight_bits=bits, weight_quantizer="clustered"))
        assert sum(cost.energy_pj.values()) == pytest.approx(cost.energy_uj * 1e6)
        for layer, before in zip(cost.layers, eight.layers, strict=True):
            book = 8 * 2**bits if layer.name in network.layers else 0
            per_bit = model.description.dram.pj_per_bit + 10  # beyond what a bit costs in these buffers
            assert layer.total_pj <= before.total_pj + book * per_bit
            assert layer.energy_pj["MAC"] == before.energy_pj["MAC"]
            assert layer.metadata_bits == book
            assert layer.bops == before.bops
        assert cost.energy_uj < eight.energy_uj or name == "sparse_skip"  # its 8 MB hold such a network's weights


def test_stored_bits_are_indices_and_codebook():
    cost = hw_models.load("ethosu55_256").cost(NETWORK, uniform(NETWORK, weight_bits=4, weight_quantizer="clustered"))
    one = next(layer for layer in cost.layers if layer.name == "one")
    assert one.stored_weight_bits == 24 * 40 * 9 * 4 + 16 * 8
    assert one.weight_bits == 4


def test_an_index_takes_the_width_that_is_stored():
    model = hw_models.load("sparse_skip")
    choice = {"granularity": "element", "keep_ratio": 0.3, "weight_quantizer": "clustered"}
    three, four = (model.cost(PLAIN, uniform(PLAIN, weight_bits=bits, **choice)) for bits in (3, 4))
    for layer, other in zip(three.layers, four.layers, strict=True):
        if layer.name in PLAIN.layers:
            assert other.stored_weight_bits - layer.stored_weight_bits == pytest.approx(8 * (16 - 8))


def test_batches_tell_clustered_from_uniform():
    model = with_indices("scalable_sparse_16x32")
    bits = {"weight_bits": 4, "activation_bits": 4}
    both = [uniform(NETWORK, **bits), uniform(NETWORK, weight_quantizer="clustered", **bits)]
    mixed = {**both[0], "one": both[1]["one"]}
    policies = [*both, mixed]
    batch = ChoiceBatch.of(policies, NETWORK.layers)
    for _ in range(2):  # computed, then looked up
        cost = model.costs(NETWORK, batch)
        assert len(set(cost.energy_pj.tolist())) == 3
        for row, policy in enumerate(policies):
            assert cost.energy_pj[row] == pytest.approx(model.cost(NETWORK, policy).energy_uj * 1e6)
            assert cost.layer_pj[row].sum() == pytest.approx(cost.energy_pj[row])
    assert hw_models.bops(NETWORK, both[1]) == pytest.approx(2 * hw_models.bops(NETWORK, both[0]), rel=0.1)


@pytest.mark.parametrize(
    ("name", "bits", "stores"),
    [("npu_int8", 4, "no indices"), ("sparse_skip", 5, "indices of at most 4 bits")],
)
def test_refused_where_such_indices_are_not_stored(name, bits, stores):
    model = hw_models.load(name)
    network = network_of(model)
    policy = {**uniform(network), "one": LayerChoice(weight_bits=bits, weight_quantizer="clustered")}
    message = f"{name}: storage.index_bits: stores {stores}, layer 'one' has clustered weights of {bits} bits; set its"
    with pytest.raises(HardwareError, match=message):
        model.cost(network, policy)
    with pytest.raises(HardwareError, match=message):
        model.costs(network, ChoiceBatch.of([policy], network.layers))


def test_measured_tables_say_nothing_about_clusters(tmp_path):
    rows = [f"{name},{bits},8,1,1,1" for name in NETWORK.layers for bits in (4, 8)]
    (tmp_path / "t.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    model = hw_models.load(str(tmp_path / "t.csv"))
    with pytest.raises(HardwareError, match=r"stores no indices, layer 'stem' has clustered weights"):
        model.cost(NETWORK, uniform(NETWORK, weight_bits=4, weight_quantizer="clustered"))
