import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.errors import NetworkError
from rlcompress.spec import ChoiceBatch, LayerChoice, LayerSpec, NetworkStructure, keep_count, rounded_to


def spec(name, k, c, inputs=(), *, coupling=None, kind="conv", **more):
    return LayerSpec(name=name, kind=kind, out_channels=k, in_channels=c, inputs=inputs, coupling=coupling, **more)


# stem 10 -> (body 6 -> tail 10) + stem -> depthwise 10; concatenated with side 4 -> pool -> linear
RESIDUAL = (
    spec("stem", 10, 3, coupling="stem"),
    spec("body", 6, 10, ("stem",), coupling="body"),
    spec("tail", 10, 6, ("body",), coupling="stem"),
    spec("add", 10, 10, ("tail", "stem"), coupling="stem", kind="add"),
    spec("deep", 10, 10, ("add",), coupling="stem", kind="depthwise", groups=10),
    spec("side", 4, 10, ("add",), coupling="side"),
    spec("head", 5, 14 * 9, ("deep", "side"), kind="linear"),
)


def kept(structure, **changes):
    choices = {name: LayerChoice() for name in structure.layers}
    batch = ChoiceBatch.of([{**choices, **changes}], structure.layers)
    outputs, inputs = structure.kept_channels(batch)
    names = [s.name for s in structure.specs]
    return dict(zip(names, outputs[0].tolist(), strict=True)), dict(zip(names, inputs[0].tolist(), strict=True))


def pruned(granularity, keep_ratio):
    return LayerChoice(granularity=granularity, keep_ratio=keep_ratio)


def test_connections():
    structure = NetworkStructure(RESIDUAL)
    assert structure.layers == ("stem", "body", "tail", "deep", "side", "head")
    assert structure.producers == [(), (0,), (1,), (2, 0), (3,), (3,), (4, 5)]
    assert structure.readers == [[1, 3], [2], [3], [4, 5], [6], [6], []]
    assert structure.leader == {"stem": 0, "body": 1, "side": 4}


def test_nothing_removed():
    outputs, inputs = kept(NetworkStructure(RESIDUAL))
    assert outputs == {s.name: s.out_channels for s in RESIDUAL}
    assert inputs == {s.name: s.in_channels for s in RESIDUAL}


def test_a_groups_filters_leave_every_member_and_every_reader():
    outputs, inputs = kept(NetworkStructure(RESIDUAL), stem=pruned("filter", 0.3), body=pruned("filter", 0.5))
    assert outputs == {"stem": 3, "body": 3, "tail": 3, "add": 3, "deep": 3, "side": 4, "head": 5}
    assert inputs == {"stem": 3, "body": 3, "tail": 3, "add": 3, "deep": 3, "side": 3, "head": 7 * 9}


def test_only_the_leader_of_a_group_decides():
    outputs, _ = kept(NetworkStructure(RESIDUAL), tail=pruned("filter", 0.3))
    assert outputs["tail"] == outputs["stem"] == 10


def test_channel_pruning_shrinks_its_own_inputs_only():
    outputs, inputs = kept(NetworkStructure(RESIDUAL), side=pruned("channel", 0.25), stem=pruned("filter", 0.8))
    assert (inputs["side"], inputs["deep"], outputs["side"], outputs["add"]) == (2, 8, 4, 8)


def test_element_pruning_shrinks_nothing():
    outputs, inputs = kept(NetworkStructure(RESIDUAL), stem=pruned("element", 0.1))
    assert (outputs["stem"], inputs["body"]) == (10, 10)


@given(strata=st.lists(st.integers(1, 40), min_size=1, max_size=4), steps=st.integers(1, 19))
def test_strata_are_kept_each_on_its_own(strata, steps):
    count, ratio = sum(strata), round(0.05 * steps, 10)
    structure = NetworkStructure([spec("a", count, 3, coupling="a", strata=tuple(strata)), spec("b", 2, count, ("a",))])
    outputs, inputs = kept(structure, a=pruned("filter", ratio))
    assert outputs["a"] == inputs["b"] == sum(keep_count(n, ratio) for n in strata)


@given(
    strata=st.lists(st.integers(1, 40), min_size=1, max_size=4), steps=st.integers(1, 19), round_to=st.integers(1, 16)
)
def test_multiples_of_every_stratum_and_of_the_inputs_are_kept(strata, steps, round_to):
    count, ratio = sum(strata), round(0.05 * steps, 10)
    specs = [spec("a", count, 3, coupling="a", strata=tuple(strata)), spec("b", 2, count, ("a",))]
    structure = NetworkStructure(rounded_to(specs, round_to))
    outputs, inputs = kept(structure, a=pruned("filter", ratio))
    assert outputs["a"] == inputs["b"] == sum(keep_count(n, ratio, round_to) for n in strata)
    outputs, inputs = kept(structure, b=pruned("channel", ratio))
    assert outputs["a"] == count
    assert inputs["b"] == count or inputs["b"] % round_to == 0


def test_many_policies_at_once_are_each_alone():
    structure = NetworkStructure(RESIDUAL)
    dense = {name: LayerChoice() for name in structure.layers}
    policies = [{**dense, "stem": pruned("filter", ratio)} for ratio in (0.2, 0.5, 0.9)]
    together = structure.kept_channels(ChoiceBatch.of(policies, structure.layers))
    for i, policy in enumerate(policies):
        alone = structure.kept_channels(ChoiceBatch.of([policy], structure.layers))
        for all_rows, row in zip(together, alone, strict=True):
            assert np.array_equal(all_rows[i], row[0])


def test_wrong_connections():
    with pytest.raises(NetworkError, match="a name appears twice"):
        NetworkStructure([spec("a", 1, 1), spec("a", 1, 1)])
    with pytest.raises(NetworkError, match="layer 'a' reads 'b', which does not come before it"):
        NetworkStructure([spec("a", 1, 1, ("b",)), spec("b", 1, 1)])


def test_counts_of_a_layer():
    layer = spec(
        "a", 8, 4, kernel_height=3, kernel_width=5, groups=2, out_height=6, out_width=7, in_height=12, in_width=14
    )
    assert (layer.weights_per_output, layer.weights, layer.macs) == (30, 240, 240 * 42)
    assert (layer.input_elements, layer.output_elements) == (4 * 12 * 14, 8 * 42)
    assert layer.strata == (8,)
    assert spec("add", 8, 8, kind="add").macs == spec("pool", 8, 8, kind="pool").weights == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "lstm"}, "layer 'a': unknown kind 'lstm'; choose from conv, depthwise, linear, matmul, pool, add"),
        ({"round_to": 0}, "layer 'a': every size must be 1 to 1000000000"),
        ({"stride": 0}, "layer 'a': every size must be 1 to 1000000000"),
        ({"strata": (2, 5)}, r"layer 'a': strata \(2, 5\) do not add up to 8"),
        ({"input_density": 1.5}, "layer 'a': input_density 1.5 is not between 0 and 1"),
    ],
)
def test_wrong_specs(changes, message):
    with pytest.raises(NetworkError, match=message):
        spec("a", 8, 3, **changes)
