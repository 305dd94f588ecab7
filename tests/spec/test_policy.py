import copy
import dataclasses
import json
import re
from importlib.resources import files

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.errors import PolicyError
from rlcompress.spec import (
    CompressionPolicy,
    LayerChoice,
    LayerSpec,
    NetworkReference,
    fingerprint,
    policy_json_schema,
)
from tests.spec.strategies import layer_choices, metrics, names

REFERENCE = NetworkReference(name="net", fingerprint="0123456789abcdef")
VALID = {
    "schema_version": 1,
    "network": {"name": "net", "fingerprint": "0123456789abcdef"},
    "hardware": "accelerator",
    "metrics": {"energy_saved_pct": 61.5},
    "layers": [
        {"name": "a", "granularity": "none", "keep_ratio": 1.0, "weight_bits": 8, "activation_bits": 8},
        {"name": "b.0", "granularity": "filter", "keep_ratio": 0.5, "weight_bits": 2, "activation_bits": 4},
    ],
}


def edited(path, value):
    """`VALID` with the entry at ``path`` set, or removed where the value is ``...``."""
    policy = copy.deepcopy(VALID)
    *parents, last = path
    target = policy
    for part in parents:
        target = target[part]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return policy


def refusal(text, **options):
    with pytest.raises(PolicyError) as caught:
        CompressionPolicy.from_json(text, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@given(choices=layer_choices, hardware=names, metrics=metrics)
@settings(max_examples=60)
def test_json_round_trip(choices, hardware, metrics):
    policy = CompressionPolicy.of(choices, network=REFERENCE, hardware=hardware, metrics=metrics)
    text = policy.to_json()
    again = CompressionPolicy.from_json(text)
    assert again == policy
    assert list(again.choices.items()) == list(choices.items())
    assert again.to_json() == text
    jsonschema.validate(json.loads(text), policy_json_schema())


def test_the_quantizer_is_written_where_it_is_not_uniform():
    rows = edited(("layers", 1, "weight_quantizer"), "clustered")
    policy = CompressionPolicy.from_json(json.dumps(rows))
    assert policy.choices["b.0"].weight_quantizer == "clustered"
    assert policy.to_json().count("weight_quantizer") == 1


def test_clustered_weights_of_eight_bits_are_refused():
    for wrong in (edited(("layers", 0, "weight_quantizer"), "clustered"), edited(("layers", 0, "weight_bits"), ...)):
        wrong["layers"][0]["weight_quantizer"] = "clustered"
        message = (
            "clustered weights are indices of 2 to 7 bits: set weight_bits to that or weight_quantizer to 'uniform'"
        )
        assert refusal(json.dumps(wrong)) == f"policy: layer 'a': {message}, got 8 bits"
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, policy_json_schema())


def test_json_is_one_line_a_layer():
    lines = CompressionPolicy.from_json(json.dumps(VALID)).to_json().splitlines()
    assert lines[0] == "{"
    assert lines[1] == ' "schema_version": 1,'
    row = '{"name": "b.0", "granularity": "filter", "keep_ratio": 0.5, "weight_bits": 2, "activation_bits": 4}'
    assert lines[-3] == f"  {row}"


def test_file_round_trip(tmp_path):
    policy = CompressionPolicy.from_json(json.dumps(VALID))
    policy.save(tmp_path / "policy.json")
    assert CompressionPolicy.load(str(tmp_path / "policy.json")) == policy


WRONG_LAYERS = [
    ("granularity", "filters", "granularity: .*'filter', got 'filters'"),
    ("keep_ratio", 0.0, "keep_ratio: .*greater than 0, got 0.0"),
    ("keep_ratio", 1.5, "keep_ratio: .*less than or equal to 1, got 1.5"),
    ("keep_ratio", "0.5", "keep_ratio: .*number, got '0.5'"),
    ("keep_ratio", True, "keep_ratio: .*number, got True"),
    ("keep_ratio", 1.0, "keep_ratio 1 removes nothing: set granularity to 'none', got 'filter'"),
    ("granularity", "none", "granularity 'none' keeps everything: set keep_ratio to 1, got 0.5"),
    ("weight_bits", 1, "weight_bits: .*greater than or equal to 2, got 1"),
    ("weight_bits", 9, "weight_bits must be 2 to 8, or 16, got 9"),
    ("weight_bits", 17, "weight_bits: .*less than or equal to 16, got 17"),
    ("weight_quantizer", "kmeans", "weight_quantizer: .*'clustered', got 'kmeans'"),
    ("weight_bits", "8", "weight_bits: .*integer, got '8'"),
    ("activation_bits", 15, "activation_bits must be 2 to 8, or 16, got 15"),
    ("activation_bits", None, "activation_bits: .*integer, got None"),
    ("bits", 8, "bits: Extra inputs are not permitted, got 8"),
    ("self", 8, "self: Extra inputs are not permitted, got 8"),
    ("two\nlines", 8, "two lines: Extra inputs are not permitted, got 8"),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG_LAYERS)
def test_wrong_layer_entry_is_named_with_the_mend(key, value, message):
    wrong = edited(("layers", 1, key), value)
    assert re.fullmatch(
        f"run/policy.json: layer 'b.0': {message}", refusal(json.dumps(wrong), source="run/policy.json")
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, policy_json_schema())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("layers",), ..., "layers: Field required"),
        (("layers",), [], "layers: .*at least 1 item.*"),
        (("layers",), "a", "layers: .*"),
        (("layers", 0), 3, r"layers\.0: .*"),
        (("layers", 0, "name"), ..., ".*name: Field required"),
        (("layers", 0, "name"), "", "layer '': name: .*at least 1 character, got ''"),
        (("network", "fingerprint"), "0123", r"network\.fingerprint: .*, got '0123'"),
        (("network",), ..., "network: Field required"),
        (("hardware",), "", "hardware: .*at least 1 character, got ''"),
        (("schema_version",), 2, "schema_version: .*1, got 2"),
        (("metrics", "drop"), [1], r"metrics\.drop.*"),
        (("surplus",), 1, "surplus: Extra inputs are not permitted, got 1"),
        (("self",), 1, "self: Extra inputs are not permitted, got 1"),
    ],
)
def test_wrong_head_is_named(path, value, message):
    wrong = edited(path, value)
    assert re.fullmatch(f"policy: {message}", refusal(json.dumps(wrong)))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, policy_json_schema())


def test_layer_listed_twice():
    wrong = edited(("layers",), [VALID["layers"][0]] * 2)
    assert refusal(json.dumps(wrong)) == "policy: layer 'a' is listed twice; keep one entry a layer"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_metrics_that_json_cannot_hold(value):
    assert "is no number of JSON" in refusal(json.dumps(edited(("metrics", "drop"), value)))
    with pytest.raises(PolicyError, match=r"metrics\.drop"):
        CompressionPolicy(**edited(("metrics", "drop"), value))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "nul", '{"layers": ' + "9" * 5000])
def test_text_that_is_not_json(text):
    assert refusal(text, source="p.json").startswith("p.json: not valid JSON (")


@pytest.mark.parametrize("text", ["[]", "3", '"policy"', "null"])
def test_json_that_is_no_object(text):
    assert "a policy is a JSON object with the keys schema_version, network" in refusal(text)


@given(
    text=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
@settings(max_examples=100)
def test_any_json_at_all_gives_one_line(text):
    refusal(json.dumps(text))
    refusal(json.dumps(edited(("layers", 0), text)))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"0" * 10_000_001])
def test_file_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "policy.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PolicyError, match=re.escape(str(path))) as caught:
        CompressionPolicy.load(path)
    assert len(str(caught.value).splitlines()) == 1


def test_schema_file_is_the_models_schema():
    shipped = json.loads((files("rlcompress.spec") / "policy.schema.json").read_text())
    assert shipped == policy_json_schema()
    jsonschema.Draft202012Validator.check_schema(shipped)


def conv(name, inputs, *, coupling, kind="conv"):
    return LayerSpec(name=name, kind=kind, out_channels=8, in_channels=8, inputs=inputs, coupling=coupling)


SPECS = (
    conv("stem", (), coupling="stem"),
    conv("left", ("stem",), coupling="left"),
    conv("right", ("left",), coupling="stem"),
    conv("sum", ("right", "stem"), coupling="stem", kind="add"),
    conv("head", ("sum",), coupling=None, kind="linear"),
    conv("other", ("sum",), coupling="other"),
)


def policy_of(**changes):
    choices = {spec.name: LayerChoice() for spec in SPECS if spec.compressible}
    reference = NetworkReference(name="net", fingerprint=fingerprint(SPECS))
    return CompressionPolicy.of({**choices, **changes}, network=reference, hardware="h")


def misfit(policy, specs=SPECS):
    with pytest.raises(PolicyError) as caught:
        policy.check_fits(specs)
    return str(caught.value)


FILTER = LayerChoice(granularity="filter", keep_ratio=0.5)


def test_policies_that_fit():
    policy_of().check_fits(SPECS)
    policy_of(stem=FILTER, right=FILTER).check_fits(SPECS)
    policy_of(left=FILTER, other=FILTER).check_fits(SPECS)
    policy_of(head=LayerChoice(granularity="element", keep_ratio=0.5, weight_bits=2)).check_fits(SPECS)
    policy_of(head=LayerChoice(activation_bits=4), other=LayerChoice(activation_bits=4)).check_fits(SPECS)


def test_the_same_layers_in_another_shape():
    wider = (dataclasses.replace(SPECS[0], out_height=9), *SPECS[1:])
    assert "other shapes or connections" in misfit(policy_of(), wider)


def test_missing_unknown_and_disordered_layers():
    policy = policy_of()
    assert "layer 'head' of this network is missing (2 in all); give this network's own" in misfit(
        CompressionPolicy.of({n: c for n, c in policy if n not in ("head", "other")}, network=REFERENCE, hardware="h")
    )
    assert "this network has no layer 'aaa' (1 such); give this" in misfit(policy_of(aaa=LayerChoice()))
    assert "this network has no layer 'sum'" in misfit(policy_of(sum=LayerChoice()))
    backwards = CompressionPolicy.of(dict(reversed(policy.choices.items())), network=REFERENCE, hardware="h")
    assert misfit(backwards) == "policy: layers are out of execution order; begin with 'stem'"


@pytest.mark.parametrize("other", [LayerChoice(), LayerChoice(granularity="filter", keep_ratio=0.55)])
def test_coupled_layers_that_disagree(other):
    message = misfit(policy_of(stem=FILTER, right=other))
    assert message.startswith("layer 'right': its output channels are coupled with those of 'stem'; give both ")


def test_outputs_of_the_network_stay():
    message = misfit(policy_of(head=FILTER))
    assert message.startswith("layer 'head': its outputs are the network's outputs and cannot be removed; choose")


def test_prunings_that_cannot_be_made_are_refused():
    pruned = LayerChoice(granularity="n:m", keep_ratio=0.05)
    message = misfit(policy_of(right=pruned))
    assert message == "layer 'right': 'n:m' keeps 0.25 or 0.5, not 0.05; set keep_ratio to it"


def test_readers_of_one_tensor_have_one_width():
    message = misfit(policy_of(other=LayerChoice(activation_bits=7)))
    assert message == "layer 'other': reads the same activation as 'head'; give both the same activation_bits"


def test_readers_of_the_networks_input_have_one_width():
    two = (conv("a", (), coupling=None), conv("b", (), coupling=None))
    policy = CompressionPolicy.of(
        {"a": LayerChoice(activation_bits=8), "b": LayerChoice(activation_bits=6)}, network=REFERENCE, hardware="h"
    )
    assert misfit(policy, two).startswith("layer 'b': reads the same activation as 'a'")


def test_fingerprint_is_of_the_structure():
    first = fingerprint(SPECS)
    assert re.fullmatch("[0-9a-f]{16}", first)
    denser = [conv("stem", (), coupling="stem"), *SPECS[1:]]
    object.__setattr__(denser[0], "input_density", 0.3)
    assert fingerprint(denser) == first
    assert fingerprint([conv("stem", (), coupling="left"), *SPECS[1:]]) != first
    assert fingerprint(SPECS[:-1]) != first
