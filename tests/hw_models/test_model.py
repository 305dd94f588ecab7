"""The public interface of the hardware models on a small residual network."""

import numpy as np
import pytest

from rlcompress import hw_models
from rlcompress.errors import HardwareError
from rlcompress.spec import ChoiceBatch, LayerChoice, LayerSpec, NetworkStructure


def conv(name, c, k, size, *, inputs, coupling, **more):
    shape = {"out_height": size, "out_width": size, "in_height": size, "in_width": size}
    kernel = {"kernel_height": 3, "kernel_width": 3}
    names = {"name": name, "kind": "conv", "inputs": inputs, "coupling": coupling}
    return LayerSpec(in_channels=c, out_channels=k, **{**names, **shape, **kernel, **more})


@pytest.fixture
def specs():
    add = {"kernel_height": 1, "kernel_width": 1, "kind": "add"}
    return (
        conv("stem", 3, 16, 16, inputs=(), coupling="a"),
        conv("one", 16, 16, 16, inputs=("stem",), coupling="b"),
        conv("two", 16, 16, 16, inputs=("one",), coupling="a"),
        conv("sum", 16, 16, 16, inputs=("two", "stem"), coupling="a", **add),
        LayerSpec(name="fc", kind="linear", in_channels=16, out_channels=10, inputs=("sum",)),
    )


def uniform(structure, **choice):
    return {name: LayerChoice(**choice) for name in structure.layers}


def test_parts_add_up_and_single_equals_batch(specs):
    model, structure = hw_models.load("scalable_sparse_16x32"), NetworkStructure(specs)
    policies = [
        uniform(structure, weight_bits=4),
        uniform(structure, weight_bits=16, activation_bits=16),
        {**uniform(structure), "one": LayerChoice(granularity="element", keep_ratio=0.5)},
    ]
    batch = model.costs(structure, ChoiceBatch.of(policies, structure.layers))
    for row, policy in enumerate(policies):
        cost = model.cost(specs, policy)
        assert sum(cost.energy_pj.values()) == pytest.approx(cost.energy_uj * 1e6)
        assert batch.energy_pj[row] == pytest.approx(cost.energy_uj * 1e6)
        assert batch.latency_s[row] == pytest.approx(cost.latency_s)
        assert batch.layer_pj[row] == pytest.approx([layer.total_pj for layer in cost.layers])
        assert batch.cycles[row] == pytest.approx([layer.cycles for layer in cost.layers])
    assert batch.level_pj["DRAM"].shape == (3, 5)
    assert np.all(batch.edp_js > 0)


def test_an_unknown_description_is_named():
    with pytest.raises(HardwareError, match="hardware 'nothing' is unknown; choose from"):
        hw_models.load("nothing")
