"""The public interface of the hardware models on a small residual network."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import rlcompress.hw_models.model
from rlcompress import hw_models
from rlcompress.errors import HardwareError, PolicyError
from rlcompress.hw_models.parts import Residency
from rlcompress.spec import (
    ChoiceBatch,
    CompressionPolicy,
    LayerChoice,
    LayerSpec,
    NetworkReference,
    NetworkStructure,
    rounded_to,
)
from tests.hw_models.networks import residual_network, uniform, with_a_fixed_layer, without_depthwise

SPARSE = "scalable_sparse_16x32"


def policies_of(structure):
    return [
        uniform(structure, weight_bits=4),
        uniform(structure, weight_bits=16, activation_bits=16),
        {**uniform(structure), "one": LayerChoice(granularity="element", keep_ratio=0.5)},
        {**uniform(structure), **dict.fromkeys(("one", "dw"), LayerChoice(granularity="filter", keep_ratio=0.5))},
    ]


def test_parts_add_up_and_single_equals_batch(specs, structure):
    model, policies = hw_models.load(SPARSE), policies_of(structure)
    choices = ChoiceBatch.of(policies, structure.layers)
    for _ in range(2):  # computed, then looked up
        batch = model.costs(structure, choices)
        for row, policy in enumerate(policies):
            cost = model.cost(specs, policy)
            assert sum(cost.energy_pj.values()) == pytest.approx(cost.energy_uj * 1e6)
            assert batch.energy_pj[row] == pytest.approx(cost.energy_uj * 1e6)
            assert batch.latency_s[row] == pytest.approx(cost.latency_s)
            assert batch.layer_pj[row] == pytest.approx([layer.total_pj for layer in cost.layers])
            assert batch.cycles[row] == pytest.approx([layer.cycles for layer in cost.layers])
        assert batch.level_pj["DRAM"].shape == (4, len(specs))
        assert np.all(batch.edp_js > 0)


def test_a_policy_object_costs_what_its_choices_cost(structure):
    model, choices = hw_models.load(SPARSE), uniform(structure, weight_bits=3)
    network = NetworkReference(name="n", fingerprint="0" * 16)
    policy = CompressionPolicy.of(choices, network=network, hardware=SPARSE)
    assert model.cost(structure, policy).energy_uj == model.cost(structure, choices).energy_uj
    assert model.cost(structure, policy) is model.cost(structure, policy)


def test_a_policy_says_to_what_multiples_its_channels_are_rounded(structure):
    network = NetworkReference(name="n", fingerprint="0" * 16)
    choices = {
        **uniform(structure, weight_bits=3),
        **dict.fromkeys(("one", "dw"), LayerChoice(granularity="filter", keep_ratio=0.5)),
    }
    rounded = rounded_to(structure.specs, 8)
    model = hw_models.load(SPARSE)
    policies = {n: CompressionPolicy.of(choices, network=network, hardware=SPARSE, round_to=n) for n in (1, 8)}
    shapes = {n: [layer.shape[0] for layer in model.cost(structure, policy).layers] for n, policy in policies.items()}
    assert shapes[1] != shapes[8]
    assert all(channels % 8 == 0 for channels in shapes[8][1:3])
    assert model.cost(structure, policies[8]).energy_uj == model.cost(rounded, choices).energy_uj
    batch = model.costs(NetworkStructure(rounded), ChoiceBatch.of([choices], structure.layers))
    assert batch.energy_uj[0] == pytest.approx(model.cost(rounded, choices).energy_uj)
    assert hw_models.bops(structure, policies[8]) == hw_models.bops(rounded, choices)
    assert model.cost(rounded, policies[1]).energy_uj == model.cost(structure, choices).energy_uj


def test_networks_that_share_names_are_kept_apart():
    model = hw_models.load(SPARSE)
    small, large = ((LayerSpec(name="fc", kind="linear", in_channels=n, out_channels=10),) for n in (64, 640))
    choices = {"fc": LayerChoice()}
    energies = [model.cost(specs, choices).energy_uj for specs in (small, large, small)]
    assert energies[0] == energies[2] < energies[1]
    assert model.cost(list(large), choices).energy_uj == energies[1]


def test_the_reference_baseline_costs_more_than_eight_bits(structure):
    for name in hw_models.available():
        model = hw_models.load(name)
        if "depthwise" in model.description.kinds:
            wide, narrow = (
                model.cost(structure, uniform(structure, weight_bits=b, activation_bits=b)) for b in (16, 8)
            )
            assert wide.energy_uj >= narrow.energy_uj, name
            assert wide.latency_s >= narrow.latency_s, name


def test_activations_stay_on_chip_once_they_are_narrow_enough():
    model, structure = hw_models.load(SPARSE), NetworkStructure(residual_network(20))
    wide, narrow = (model.cost(structure, uniform(structure, activation_bits=b)) for b in (16, 4))
    assert wide.layers[1].traffic_bits["DRAM inputs"] > 0
    assert narrow.layers[1].traffic_bits["DRAM inputs"] == 0


def test_element_sparsity_is_not_free(structure):
    model = hw_models.load(SPARSE)
    keep = {"keep_ratio": 0.5}
    dense, element, block = (
        model.cost(
            structure, {**uniform(structure), "one": LayerChoice(granularity=g, **(keep if g != "none" else {}))}
        )
        for g in ("none", "element", "block")
    )
    assert block.energy_uj < element.energy_uj < dense.energy_uj
    ideal = dense.layers[1].cycles * 0.5
    assert element.layers[1].cycles > ideal
    assert element.layers[1].metadata_bits > block.layers[1].metadata_bits > 0


def test_a_layer_kind_and_a_width_that_cannot_run_are_named(structure):
    with pytest.raises(HardwareError, match=r"sparse_skip: kinds: cannot run layer 'dw' of kind 'depthwise'; it runs"):
        hw_models.load("sparse_skip").cost(structure, uniform(structure))
    eight = hw_models.load(SPARSE).description
    narrow = hw_models.HardwareModel(
        eight.model_copy(update={"bits": eight.bits.model_copy(update={"weight": (2, 4)})})
    )
    with pytest.raises(HardwareError, match=r"bits.weight: runs at most 4 bits, layer 'stem' asks for 8"):
        narrow.cost(structure, uniform(structure))
    with pytest.raises(PolicyError, match="layer 'fc' is missing"):
        hw_models.load(SPARSE).cost(structure, {k: v for k, v in uniform(structure).items() if k != "fc"})


def test_several_accelerators_are_quicker_and_move_more(structure):
    model = hw_models.load("npu_int8")
    one, four = (model.parallel(n).cost(structure, uniform(structure)) for n in (1, 4))
    assert one.energy_uj == model.cost(structure, uniform(structure)).energy_uj
    assert four.layers[1].cycles_by_bound["compute"] < one.layers[1].cycles_by_bound["compute"]
    assert four.traffic_bits["DRAM inputs"] > one.traffic_bits["DRAM inputs"]
    with pytest.raises(HardwareError, match="accelerators: must be at least 1"):
        model.parallel(0)


def test_bit_operations(structure):
    dense = uniform(structure, weight_bits=4, activation_bits=2)
    macs = sum(spec.macs for spec in structure.specs)
    assert hw_models.bops(structure, dense) == macs * 8
    assert hw_models.load(SPARSE).cost(structure, dense).bops == macs * 8
    half = {**dense, "one": LayerChoice(granularity="element", keep_ratio=0.5, weight_bits=4, activation_bits=2)}
    assert hw_models.bops(structure, half) == macs * 8 - structure.specs[1].macs * 4


def test_importing_the_models_loads_no_torch():
    code = "import sys, rlcompress.hw_models as h; h.load('eyeriss_v1'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_figure_of_a_batch(structure):
    model = hw_models.load(SPARSE)
    choices = ChoiceBatch.of(policies_of(structure), structure.layers)
    figures = model.figures(structure, choices)
    assert figures["macs"].shape == (4, len(structure.specs))
    assert figures["macs"][0, 1] == structure.specs[1].macs
    assert figures["macs"][3, 1] == structure.specs[1].macs / 2


def test_both_operands_of_attention_are_activations():
    """Scores of 16 tokens with 32 features: the second operand comes from where its producer left it."""
    line = {"kind": "linear", "in_channels": 32, "out_channels": 32, "out_height": 16, "in_height": 16}
    specs = (
        LayerSpec(name="q", **line),
        LayerSpec(name="k", **line),
        LayerSpec(**{**line, "name": "scores", "kind": "matmul", "out_channels": 16, "inputs": ("q", "k")}),
    )
    model = hw_models.load(SPARSE)
    scores = model.cost(specs, uniform(NetworkStructure(specs))).layers[2]
    assert scores.macs == 16 * 16 * 32
    assert scores.traffic_bits["DRAM weights"] == scores.traffic_bits["DRAM inputs"] == 0
    apart = hw_models.HardwareModel(model.description.model_copy(update={"residency": Residency()}))
    scores = apart.cost(specs, uniform(NetworkStructure(specs))).layers[2]
    assert scores.traffic_bits["DRAM weights"] == 16 * 32 * 8


def test_a_layer_that_no_policy_changes_runs_at_8_bits(structure):
    network = NetworkStructure(with_a_fixed_layer(structure.specs))
    assert network.layers == structure.layers
    for bits in (8, 3):
        cost = hw_models.load(SPARSE).cost(network, uniform(network, weight_bits=bits, activation_bits=bits))
        layers = {layer.name: layer for layer in cost.layers}
        fixed = layers["fixed"]
        assert (fixed.weight_bits, fixed.activation_bits, fixed.input_bits) == (8, 8, 8)
        assert layers["sum"].output_bits == layers["two"].output_bits == 8
        assert fixed.output_bits == layers["one"].output_bits == bits
        assert fixed.stored_weight_bits == 24 * 32 * 9 * 8


def test_a_model_can_be_sent_to_another_process(structure):
    model = hw_models.load(SPARSE)
    policy = uniform(structure)
    energy = model.cost(structure, policy).energy_uj
    assert pickle.loads(pickle.dumps(model)).cost(structure, policy).energy_uj == energy


def test_traffic_in_words(structure):
    layer = hw_models.load("bitfusion_16x32").cost(structure, uniform(structure, weight_bits=4)).layers[1]
    assert layer.traffic_words["DRAM weights"] * 4 == layer.traffic_bits["DRAM weights"]


def test_large_batches_are_worked_on_in_parts(structure, monkeypatch):
    policies = policies_of(structure) * 3
    choices = ChoiceBatch.of(policies, structure.layers)
    whole = hw_models.load(SPARSE).costs(structure, choices)
    monkeypatch.setattr(rlcompress.hw_models.model, "_MOST_INSTANCES", 20)
    parts = hw_models.load(SPARSE).costs(structure, choices)
    assert parts.energy_pj.tolist() == pytest.approx(whole.energy_pj.tolist())
    assert parts.cycles == pytest.approx(whole.cycles)


@pytest.mark.parametrize("name", hw_models.available())
@pytest.mark.parametrize(
    ("size", "network"),
    [(12, residual_network(12)), (24, residual_network(24)), (12, with_a_fixed_layer(residual_network(12)))],
)
def test_what_is_looked_up_is_what_is_computed(name, size, network):
    """Figures of an instance depend on nothing that its key leaves out."""
    model = hw_models.load(name)
    structure = NetworkStructure(network if "depthwise" in model.description.kinds else without_depthwise(network))
    random = np.random.default_rng(size)
    shape = (150, len(structure.layers))
    granularity = random.integers(0, 8, shape)
    granularity[:, 2] = np.where(granularity[:, 1] == 7, 7, np.minimum(granularity[:, 2], 6))
    granularity[:, -1] %= 7
    keep = np.where(granularity == 0, 1.0, random.choice([0.3, 0.5, 0.9], shape))
    bits = [random.choice([2, 4, 5, 8, 16], shape) for _ in range(2)]
    batch = ChoiceBatch(granularity, keep, *bits)
    costs, figures = model.costs(structure, batch), model.figures(structure, batch)
    seconds = 1e-6 / model.description.clock_mhz
    first = model.cost(structure, batch.choices(0, structure.layers))
    assert costs.layer_pj[0] == pytest.approx([layer.total_pj for layer in first.layers])
    assert costs.cycles == pytest.approx(figures["cycles"])
    for found in (costs, model.costs(structure, batch)):
        assert found.energy_pj == pytest.approx(figures["energy_pj"].sum(axis=1))
        assert found.latency_s == pytest.approx(figures["cycles"].sum(axis=1) * seconds)


def test_a_memo_that_is_too_small_changes_nothing(structure, monkeypatch):
    choices = ChoiceBatch.of(policies_of(structure) * 3, structure.layers)
    wanted = hw_models.load(SPARSE).costs(structure, choices)
    monkeypatch.setattr(rlcompress.hw_models.model, "_INSTANCE_BITS", 3)
    given = hw_models.load(SPARSE).costs(structure, choices)
    assert given.energy_pj.tolist() == wanted.energy_pj.tolist()
    assert given.latency_s.tolist() == wanted.latency_s.tolist()


def test_stored_weights_count_what_stays_and_its_indices():
    specs = (LayerSpec(name="fc", kind="linear", out_channels=64, in_channels=128),)
    model = hw_models.load("scalable_sparse_16x32")
    dense = model.cost(specs, {"fc": LayerChoice(weight_bits=4)})
    sparse = model.cost(specs, {"fc": LayerChoice(weight_bits=4, granularity="element", keep_ratio=0.5)})
    assert dense.weights_kb == 64 * 128 * 4 / 8 / 1024
    assert sparse.weights_kb == pytest.approx(64 * 128 * (1 + 0.5 * 4) / 8 / 1024)
