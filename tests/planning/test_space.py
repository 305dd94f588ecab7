import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.errors import RunError
from rlcompress.planning import ChoiceSpace
from rlcompress.planning.batches import same
from rlcompress.spec import (
    GRANULARITIES,
    ChoiceBatch,
    CompressionPolicy,
    LayerChoice,
    NetworkReference,
    NetworkStructure,
    fingerprint,
    rounded_to,
)
from tests.planning.structures import CHAIN, MIXED, RESIDUAL, batches, spec

NAMES = RESIDUAL.layers
FILTER, ELEMENT, NONE = (GRANULARITIES.index(name) for name in ("filter", "element", "none"))


def snapped(space, **choices):
    policy = {name: choices.get(name, LayerChoice()) for name in space.structure.layers}
    batch = space.snapped(ChoiceBatch.of([policy], space.structure.layers))
    return batch.choices(0, space.structure.layers)


def pruned(granularity, keep_ratio, **bits):
    return LayerChoice(granularity=granularity, keep_ratio=keep_ratio, **bits)


SPACES = [
    ChoiceSpace(RESIDUAL),
    ChoiceSpace(RESIDUAL, granularities=("filter",), min_bits=3, max_bits=6, end_bits=8),
    ChoiceSpace(RESIDUAL, granularities=("element", "block"), min_keep_ratio=0.12),
    ChoiceSpace(RESIDUAL, min_keep_ratio=1.0, end_bits=6),
    ChoiceSpace(CHAIN),
    ChoiceSpace(RESIDUAL, granularities=GRANULARITIES),
    ChoiceSpace(MIXED, granularities=GRANULARITIES, min_keep_ratio=0.3),
]


@pytest.mark.parametrize("number", range(len(SPACES)))
@given(data=st.data())
@settings(max_examples=40)
def test_snapped_choices_are_allowed_and_stay_as_they_are(number, data):
    space = SPACES[number]
    layers = len(space.layers)
    batch = data.draw(batches(layers))
    copy = ChoiceBatch(
        *(a.copy() for a in (batch.granularity, batch.keep_ratio, batch.weight_bits, batch.activation_bits))
    )
    result = space.snapped(batch)
    assert same(space.snapped(result), result)
    assert same(batch, copy)
    for row in range(batch.shape[0]):
        choices = result.choices(row, space.structure.layers)
        reference = NetworkReference(name="net", fingerprint=fingerprint(space.structure.specs))
        CompressionPolicy.of(choices, network=reference, hardware="h").check_fits(space.structure.specs)
        for i, choice in enumerate(choices.values()):
            assert choice.granularity in space.allowed(i)
            assert choice.keep_ratio == 1.0 or choice.keep_ratio in space.ratios(choice.granularity)
            own = space.end_bits if i in space.ends else space.min_bits
            tensor = space.end_bits if space.reader[i] in space.reader[space.ends] else space.min_bits
            assert max(own, space.min_bits) <= choice.weight_bits <= max(own, space.max_bits)
            assert max(tensor, space.min_bits) <= choice.activation_bits <= max(tensor, space.max_bits)


def test_the_first_of_a_group_decides():
    choices = snapped(ChoiceSpace(RESIDUAL), stem=pruned("filter", 0.52), back=pruned("element", 0.3))
    assert choices["stem"].keep_ratio == choices["back"].keep_ratio == 0.5
    assert choices["back"].granularity == "filter"
    choices = snapped(ChoiceSpace(RESIDUAL), stem=pruned("element", 0.3), back=pruned("filter", 0.5))
    assert (choices["stem"].granularity, choices["back"].granularity) == ("element", "none")


def test_the_first_reader_decides_on_activation_bits():
    choices = snapped(ChoiceSpace(RESIDUAL), left=LayerChoice(activation_bits=3), right=LayerChoice(activation_bits=7))
    assert choices["right"].activation_bits == 3


def test_ends_have_their_least_bits_even_where_they_read_what_others_read():
    structure_of_two_heads = type(RESIDUAL)(
        [
            spec("stem", (), coupling="stem"),
            spec("mid", ("stem",), coupling=None),
            spec("head", ("stem",), coupling=None, kind="linear"),
        ]
    )
    narrow = {name: LayerChoice(weight_bits=2, activation_bits=2) for name in ("stem", "mid", "head")}
    choices = snapped(ChoiceSpace(structure_of_two_heads, end_bits=6, max_bits=5), **narrow).values()
    assert [choice.activation_bits for choice in choices] == [6, 6, 6]
    assert [choice.weight_bits for choice in choices] == [6, 2, 6]


def test_what_cannot_be_chosen_becomes_none():
    space = ChoiceSpace(RESIDUAL, granularities=("element",), min_keep_ratio=0.12)
    choices = snapped(
        space,
        left=pruned("filter", 0.5),
        right=pruned("kernel", 0.5),
        back=pruned("element", 0.99),
        head=pruned("element", 0.01),
    )
    assert [choices[name].granularity for name in ("left", "right", "back")] == ["none"] * 3
    assert choices["head"].keep_ratio == 0.15  # the least of the grid that is not below 0.12


def test_grid_and_options():
    space = ChoiceSpace(RESIDUAL, min_keep_ratio=0.85)
    assert space.keep_ratios.tolist() == [0.85, 0.9, 0.95, 1.0]
    assert space.allowed(NAMES.index("head")) == ("none", "element")
    granularity, keep = space.options(NAMES.index("stem"))
    assert granularity.tolist() == [NONE, *[ELEMENT] * 3, *[FILTER] * 3]
    assert keep.tolist() == [1.0, 0.85, 0.9, 0.95, 0.85, 0.9, 0.95]
    assert FILTER not in space.options(NAMES.index("back"))[0]  # the stem decides for it


ALL = {name: i for i, name in enumerate(GRANULARITIES)}


def test_layers_are_offered_what_their_shape_allows():
    space = ChoiceSpace(MIXED, granularities=GRANULARITIES)
    offered = {layer.name: space.allowed(i) for i, layer in enumerate(space.layers)}
    assert offered["stem"] == ("none", "element", "block", "pattern", "kernel", "channel", "filter")  # 3 inputs
    assert offered["depthwise"] == ("none", "element", "pattern", "filter")
    assert offered["wide"] == GRANULARITIES
    assert offered["head"] == ("none", "element", "n:m", "block", "channel")
    granularity, keep = space.options(2)
    assert keep[granularity == ALL["n:m"]].tolist() == [0.25, 0.5]
    assert keep[granularity == ALL["pattern"]].tolist() == [0.45]
    assert len(keep[granularity == ALL["block"]]) == 18


@pytest.mark.parametrize(
    ("granularity", "asked", "given"),
    [
        ("n:m", 0.05, 0.25), ("n:m", 0.4, 0.5), ("n:m", 0.7, 0.5), ("n:m", 0.8, 1.0),
        ("pattern", 0.1, 0.45), ("pattern", 0.7, 0.45), ("pattern", 0.75, 1.0), ("block", 0.33, 0.35),
    ],
)  # fmt: skip
def test_keep_ratios_snap_to_what_the_granularity_offers(granularity, asked, given):
    choice = snapped(ChoiceSpace(MIXED, granularities=GRANULARITIES), wide=pruned(granularity, asked))["wide"]
    assert choice == (LayerChoice() if given == 1.0 else pruned(granularity, given))


def test_ratios_that_keep_the_same_multiples_are_offered_once():
    structure = NetworkStructure(rounded_to(MIXED.specs, 4))
    space = ChoiceSpace(structure, granularities=("filter", "channel", "element"))
    granularity, keep = space.options(2)
    for name in ("filter", "channel"):
        assert keep[granularity == ALL[name]].tolist() == [0.25, 0.5, 0.75]  # of 16 channels 4, 8 and 12 stay
    assert len(keep[granularity == ALL["element"]]) == 18
    assert "channel" not in space.allowed(0)  # 3 inputs all stay
    snap = snapped(space, wide=pruned("filter", 0.6), stem=pruned("filter", 0.9))
    assert (snap["wide"].keep_ratio, snap["stem"], snap["depthwise"]) == (0.5, LayerChoice(), LayerChoice())
    assert NetworkStructure(MIXED.specs).kept_channels(space.uniform(8))[0].tolist() == [[16] * 4]


def test_granularities_without_a_ratio_above_the_least_are_not_offered():
    space = ChoiceSpace(MIXED, granularities=GRANULARITIES, min_keep_ratio=0.55)
    assert space.allowed(2) == ("none", "element", "block", "kernel", "channel", "filter")


def test_uniform():
    batch = ChoiceSpace(RESIDUAL).uniform(5, policies=2)
    assert batch.shape == (2, len(NAMES))
    assert np.all(batch.weight_bits == 5)
    assert batch.choices(1, NAMES) == {name: LayerChoice(weight_bits=5, activation_bits=5) for name in NAMES}


def test_weights_as_narrow_as_indices_are_clustered():
    space = ChoiceSpace(RESIDUAL, index_bits=4, end_bits=8)
    for bits in range(2, 9):
        batch = space.snapped(space.uniform(bits))
        quantizers = {choice.weight_quantizer for choice in batch.choices(0, NAMES).values()}
        assert quantizers == ({"clustered", "uniform"} if bits <= 4 else {"uniform"})
        assert same(space.snapped(batch), batch)
        assert space.narrow_weights(bits).weight_quantizer == ("clustered" if bits <= 4 else "uniform")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"granularities": ("element", "filters")}, "unknown granularity 'filters'; choose from none, element"),
        ({"min_bits": 1}, "bits must satisfy 2 <= min <= max <= 8, got 1 and 8"),
        ({"min_bits": 6, "max_bits": 4}, "got 6 and 4"),
        ({"end_bits": 9}, "least bits of the first and the last layer must be 2 to 8, got 9"),
        ({"max_bits": 9}, "got 2 and 9"),
        ({"min_keep_ratio": 0.0}, "least keep ratio must be above 0 and at most 1, got 0.0"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(RunError, match=message):
        ChoiceSpace(RESIDUAL, **settings)
