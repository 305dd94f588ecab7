"""Reading descriptions: what is wrong is named with its line, key and mend."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from rlcompress import hw_models
from rlcompress.errors import HardwareError

TEXT = """\
name: mine
title: a test
source: a test
confidence: estimate
clock_mhz: 100
bits: {weight: [8], activation: [8]}
array: {type: spatial, rows: 4, columns: 4}
mac: {type: unit, pj: 1}
buffers:
  - {name: W, holds: [weights], kb: 8, read_pj_per_bit: 0.1, write_pj_per_bit: 0.1}
  - {name: A, holds: [inputs, outputs], kb: 8, read_pj_per_bit: 0.1, write_pj_per_bit: 0.1}
dram: {pj_per_bit: 10, bits_per_cycle: 32}
vector: {lanes: 4}
"""


def test_every_built_in_description_is_valid_and_tagged():
    for name in hw_models.available():
        description = hw_models.load(name).description
        assert description.name == name
        assert description.source
        assert description.confidence in ("silicon-fitted", "simulator-matched", "estimate")
    assert {"scalable_sparse_16x32", "bitfusion_16x32", "npu_int8", "eyeriss_v1"} <= set(hw_models.available())


def test_a_file_is_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    assert hw_models.load(path).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows: 4", "rows: 0", r"line 7: array.rows: .* greater than 0, got 0"),
        ("rows: 4", "row: 4", r"line 7: array.row: is no key of a description; did you mean 'rows'\?$"),
        ("rows: 4, ", "", r"line 7: array.rows: is missing; add this key"),
        ("kb: 8", "kB: 8", r"line 10: buffers.0.kB: is no key of a description; did you mean 'kb'\?$"),
        ("vector: {lanes: 4}", "vector: {lanes: 4}\nfuze: true", r"line 14: fuze: .*; did you mean 'fuse'\?$"),
        ("kb: 8, read_pj_per_bit: 0.1", "kb: -8, read_pj_per_bit: 0.1", r"line 10: buffers.0.kb: .*greater than 0"),
        ("kb: 8, read", "kb: 0.001, read", r"W of 0.001 kB cannot hold one tile; raise its kb"),
        ("holds: [weights]", "holds: [inputs]", r"buffers must hold weights exactly once, got 0; mend 'holds'"),
        (
            "read_pj_per_bit: 0.1, ",
            "",
            r"line 10: buffers.0: give either read_pj_per_bit and write_pj_per_bit, or sram",
        ),
        ("type: unit", "type: magic", r"line 8: mac: .*'unit', 'multiplier'"),
        ("dram: {pj_per_bit: 10, bits_per_cycle: 32}\n", "", r"dram: is missing; add this key"),
        (
            "vector: {lanes: 4}",
            "vector: {lanes: 4}\nspeed: 1",
            r"line 14: speed: is no key of a description; mend its name or remove it",
        ),
        ("clock_mhz: 100", "clock_mhz: yes", r"line 5: clock_mhz: must be a number, no truth value, got True"),
        ("clock_mhz: 100", "clock_mhz: .nan", r"line 5: clock_mhz: .*"),
        ("vector: {lanes: 4}", "vector: {lanes: 4}\ntraffic: {type: mapped}", r"'mapped' needs array.type"),
        ("vector: {lanes: 4}", "vector: {lanes: 4}\nkinds: [conv3d]", r"line 14: kinds.0: Input should be 'conv'"),
    ],
)
def test_mistakes_are_named(old, new, message):
    assert old in TEXT
    with pytest.raises(HardwareError, match="mine.yaml: .*" + message) as error:
        hw_models.parse_description(TEXT.replace(old, new, 1), "mine.yaml")
    assert "\n" not in str(error.value)


def test_aliases_are_refused():
    with pytest.raises(HardwareError, match=r"x\.yaml: line 2: \*a is an alias; write the value out"):
        hw_models.parse_description("a: &a [1, 1]\nname: [*a, *a]\n", "x.yaml")


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "1", "? [a]\n: 1", "1: 2"])
def test_what_is_no_description_is_refused_in_one_line(text):
    with pytest.raises(HardwareError, match=r"^x\.yaml: ") as error:
        hw_models.parse_description(text, "x.yaml")
    assert "\n" not in str(error.value)


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(HardwareError, match="hardware 'nothing' is unknown; choose from"):
        hw_models.load("nothing")
    with pytest.raises(HardwareError, match="cannot read the description"):
        hw_models.load(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_text("#" * 1_000_001)
    with pytest.raises(HardwareError, match="larger than"):
        hw_models.load(tmp_path / "big.yaml")


def test_a_description_is_written_as_it_was_read(tmp_path):
    model = hw_models.load("eyeriss_v1")
    suffix, text = model.document
    (tmp_path / f"again.{suffix}").write_text(text)
    assert hw_models.load(tmp_path / f"again.{suffix}").description == model.description


def _keys(model, prefix=""):
    """Dotted keys of a description with their defaults, as the documentation writes them."""
    for name, field in model.model_fields.items():
        parts = [part for part in _parts(field.annotation) if issubclass(part, BaseModel)]
        default = field.get_default(call_default_factory=True)
        if not parts:
            needed = field.is_required()
            yield prefix + name, "needed" if needed else list(default) if isinstance(default, tuple) else default
        for part in parts:
            yield from _keys(part, f"{prefix}{name}.")


def _parts(annotation):
    arguments = get_args(annotation)
    return [annotation] if isinstance(annotation, type) else [part for of in arguments for part in _parts(of)]


def test_the_documentation_has_every_key_with_its_default():
    keys = {}
    for key, default in _keys(hw_models.Description):
        keys.setdefault(key, default)
    page = (Path(__file__).parents[2] / "docs" / "hardware.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \|.*\|([^|]*)\|$", page, re.MULTILINE)
    assert {key: yaml.safe_load(default) for key, default in rows} == keys
    assert len(rows) == len(keys)
