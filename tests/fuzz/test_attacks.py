"""Files made to run code, to take more memory than they have bytes, or never to end."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from tests.fuzz.formats import FORMATS
from tests.fuzz.test_fuzz import example, use


class Exploit:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", FORMATS)
def test_a_pickle_is_never_run(name: str, protocol: int, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content = pickle.dumps(Exploit(canary), protocol)
    pickle.loads(content)
    assert canary.exists()  # the exploit works where pickles are run
    canary.rmdir()
    said = use(tmp_path / FORMATS[name].name, content, FORMATS[name].use)
    assert said or name == "history"  # where it passes for a last line that was cut short, and is dropped
    assert not canary.exists()


@pytest.mark.parametrize("name", ["hardware", "processor"])
def test_yaml_makes_no_objects(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content = f"name: !!python/object/apply:os.mkdir [{canary}]\n".encode()
    assert "could not determine a constructor" in str(use(tmp_path / "x.yaml", content, FORMATS[name].use))
    assert not canary.exists()


def torch_file(pickled: bytes, compression: int = zipfile.ZIP_STORED, **records: bytes) -> bytes:
    """A torch file of a pickle and records."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, record in {"data.pkl": pickled, "version": b"3\n", "byteorder": b"little", **records}.items():
            archive.writestr(f"x/{name}", record)
    return stream.getvalue()


TENSOR = (
    b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
    b"X\x01\0\0\x000X\x03\0\0\0cpuK\x04tQK\0%b\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRs."
)
NESTED_TUPLES = b"\x80\x02}" + b")\x85" + b"q\0h\0\x86" * 60 + b"K\x01s."
HIGH_MEMO = b"\x80\x02}r\xff\xff\xff\x7f."


def safetensors_file(header: dict[str, object], data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch_file(TENSOR % b"J\0\0\0\x70", **{"data/0": b"\0" * 16}), "its tensors are larger than the file|damaged"),
        (torch_file(NESTED_TUPLES), "nests tuples without end"),
        (torch_file(HIGH_MEMO), "holds no named tensors"),
        (torch_file(b"0" * 10**8, zipfile.ZIP_DEFLATED), "compressed, which torch never does"),
        ((2**40).to_bytes(8, "little") + b"{}", "its header does not fit"),
        ((9_999_999).to_bytes(8, "little") + b"{" + b"[" * 9_999_998, "damaged"),
        (safetensors_file({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, b"\0" * 4), "damaged"),
        (
            safetensors_file(
                {n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in ("a", "b")}, b"\0" * 8
            ),
            "damaged",
        ),
        (save({"classifier.weight": torch.zeros(10**9, 0)}), "belong to another network"),
        (save({"fc.weight": torch.zeros(10**9, 0)}), "belong to another network"),
    ],
    ids=["resize", "tuples", "memo", "deflated", "header", "deep header", "shape", "overlap", "classes", "fc classes"],
)
def test_small_weights_take_little_memory_and_time(content: bytes, message: str, tmp_path: Path) -> None:
    said = use(tmp_path / "w", content, FORMATS["torch"].use)
    assert said
    assert any(part in said for part in message.split("|")), said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (NESTED_TUPLES, "nests tuples without end"),
        (HIGH_MEMO, "no uint8 data"),
        (b"\x80\x02" + b"]" * 300_100 + b".", "more than 300000 steps"),
        (b"\x80\x04\x95" + b"\xff" * 7 + b"\x0f", "damaged"),
        (b"\x80\x04\x8e" + b"\xff" * 6 + b"\0\0", "damaged"),
    ],
    ids=["tuples", "memo", "steps", "frame", "bytes"],
)
def test_small_batches_take_little_memory_and_time(content: bytes, message: str, tmp_path: Path) -> None:
    assert message in str(use(tmp_path / "data_batch_1", content, FORMATS["cifar python"].use))


COLUMNS = "layer,weight_bits,activation_bits,keep_ratio,latency_ms,energy_uj\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (COLUMNS + "".join(f"a,{i},{i},{i / 9999},1,1\n" for i in range(9999)), "must form a full grid"),
        (COLUMNS + "a" * 200_000 + ",8,8,1,1,1\n", "field larger than"),
        (COLUMNS + "a,8,8,1,1e300,1\n", "must be finite"),
        (COLUMNS + "a,8,8,1,nan,1\n", "must be finite"),
        (COLUMNS + "a,8,8,1,1,1\na,8,8,1,2,1\n", "line 3: the same layer and choice as before"),
        ("layer\0" + COLUMNS, "column 'layer' is missing|NUL"),
    ],
    ids=["grid", "field", "huge", "nan", "doubled", "nul"],
)
def test_tables(content: str, message: str, tmp_path: Path) -> None:
    said = str(use(tmp_path / "x.csv", content.encode(), FORMATS["table"].use))
    assert any(part in said for part in message.split("|")), said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: &a [1, 1]\nb: &b [*a, *a]\nname: [*b, *b]", "is an alias"),
        ("name: 2001-99-99", "not valid YAML (month must be in 1..12"),
        ("clock_mhz: 0x" + "f" * 5000, "integer of more than 64 bits"),
        ("clock_mhz: " + "9" * 5000, "not valid YAML (Exceeds the limit"),
        ("[" * 90_000, "nested deeper than 24 levels"),
        ("a: " * 3000, "not valid YAML"),
        ("- x\n" * 50_001, "longer than 200000 characters"),
        ("name: a\nname: b", "line 2: the key 'name' is given twice"),
        ("? {a: 1}\n: 2", "keys must be words"),
    ],
)
def test_yaml(content: str, message: str, tmp_path: Path) -> None:
    assert message in str(use(tmp_path / "x.yaml", content.encode(), FORMATS["hardware"].use))


@pytest.mark.parametrize("number", ["1e9", "1e-9"])
def test_extreme_descriptions_are_computed_with(number: str, tmp_path: Path) -> None:
    """Every number at an end of its range, one after the other."""
    lines = example("hardware").decode().splitlines()
    used = 0
    for i, line in enumerate(lines):
        key, colon, value = line.partition(": ")
        if colon and value.replace(".", "").isdigit():
            content = "\n".join([*lines[:i], f"{key}: {number}", *lines[i + 1 :]])
            used += use(tmp_path / "x.yaml", content.encode(), FORMATS["hardware"].use) is None
    assert used


HEAD = '{"network": {"name": "n", "fingerprint": "0123456789abcdef"}, "hardware": "h", "layers": ['


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "nested deeper than 24 levels"),
        ("[" * 30 + "]" * 30, "nested deeper than 24 levels"),
        ('{"a": 1e999}', "is not finite"),
        ('{"a": 1, "a": 2}', "the key 'a' is given twice"),
        ("[" + "0," * 600_000 + "0]", "more than 500000 values"),
        (HEAD + ",".join(f'{{"name": "{i}"}}' for i in range(6000)) + "]}", "layers: Tuple should have at most"),
        (HEAD + r'{"name": "\u001b[2J"}]}', "(6 in all); give this network's own policy"),
        (HEAD + r'{"name": "a", "\u001b[2J\n": 1}]}', r"\x1b[2J"),
    ],
)
def test_policies(content: str, message: str, tmp_path: Path) -> None:
    assert message in str(use(tmp_path / "policy.json", content.encode(), FORMATS["policy"].use))


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("policy", "torch", "agent"):
        with pytest.raises(Exception, match="no regular file"):
            FORMATS[name].use(tmp_path / "pipe")
