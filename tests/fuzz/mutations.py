"""Strategies that spoil a file: cut short, bits flipped, tokens put in, values of documents exchanged."""

import copy
import json
from typing import Any

import yaml
from hypothesis import strategies as st

TOKENS = (
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"-1", b"0", b"18446744073709551616", b"0x" + b"f" * 3000, b"null",
    b"[" * 3000, b"{" * 3000, b"[" * 3000 + b"]" * 3000, b'{"a":' * 500, b'"', b"\\", b"\n", b"\0", b"\xff\xfe",
    b"\x1b[2J", "\u2028\ud7ff".encode(), b"&a [*a, *a]", b"*a", b"<<: {a: 1}", b"2001-99-99", b"1:2:3", b"!!binary x",
    b"!!int z", b"!!python/object/apply:os.system [id]", b"? [a]", b",", b"a" * 100_000, b",,,,,,", b"\r",
)  # fmt: skip

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**53, 2**70, -(10**30), 1e308, 1e-308, float("nan"), float("inf"), "", "1", "\0",
    "a" * 5000,     "\u001b[31m\nred", [], {}, [[]], {"a": {"b": []}}, [1] * 1000, {"": ""},
)  # fmt: skip


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@st.composite
def spoiled_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Some content after one to four accidents."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        accident = draw(st.sampled_from(("cut", "flip", "insert", "overwrite", "repeat", "drop", "random")))
        if accident == "cut":
            content = content[:place]
        elif accident == "flip" and content:
            flipped = content[place] ^ (1 << draw(st.integers(0, 7)))
            content = content[:place] + bytes([flipped]) + content[place + 1 :]
        elif accident == "insert":
            content = content[:place] + draw(st.sampled_from(TOKENS)) + content[place:]
        elif accident == "overwrite":
            token = draw(st.sampled_from(TOKENS))
            content = content[:place] + token + content[place + len(token) :]
        elif accident == "repeat":
            content = content[:place] + content[place : place + 200] * draw(st.integers(2, 50)) + content[place:]
        elif accident == "drop":
            content = content[:place] + content[place + draw(st.integers(1, 50)) :]
        else:
            content = content[:place] + draw(st.binary(max_size=50)) + content[place:]
    return content


@st.composite
def spoiled_document(draw: st.DrawFn, document: Any) -> Any:
    """A document of dictionaries and lists in which one to three values or keys are exchanged."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        holder = document
        while True:
            inner = [key for key in _keys(holder) if _keys(holder[key])]
            if not inner or draw(st.booleans()):
                break
            holder = holder[draw(st.sampled_from(inner))]
        if not _keys(holder):
            continue
        key = draw(st.sampled_from(_keys(holder)))
        what = draw(st.sampled_from(("value", "value", "value", "deep", "lose", "rename", "double")))
        if what == "value":
            holder[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif what == "deep":
            holder[key] = nested(draw(st.sampled_from((5, 30, 200))))
        elif what == "lose":
            del holder[key]
        elif what == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from(("", "self", "nаme", "x\ny", f"{key}s")))] = holder.pop(key)
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
    return document


def _keys(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    return list(range(min(len(value), 50))) if isinstance(value, list) else []


def spoiled_json(content: bytes) -> st.SearchStrategy[bytes]:
    """A JSON file, spoiled as bytes or as a document."""
    documents = spoiled_document(json.loads(content)).map(lambda value: json.dumps(value).encode())
    return spoiled_bytes(content) | documents


def spoiled_yaml(content: bytes) -> st.SearchStrategy[bytes]:
    """A YAML file, likewise."""
    documents = spoiled_document(yaml.safe_load(content))
    return spoiled_bytes(content) | documents.map(lambda value: json.dumps(value).encode())  # which is YAML too


def spoiled_lines(content: bytes) -> st.SearchStrategy[bytes]:
    """A file of JSON lines, of which one is spoiled."""
    lines = content.splitlines()

    def exchanged(place: int) -> st.SearchStrategy[bytes]:
        return spoiled_json(lines[place]).map(lambda line: b"\n".join([*lines[:place], line, *lines[place + 1 :], b""]))

    return spoiled_bytes(content) | st.integers(0, len(lines) - 1).flatmap(exchanged)


def spoiled_safetensors(content: bytes) -> st.SearchStrategy[bytes]:
    """A safetensors file, spoiled as bytes or in its header, whose length is then put right or left wrong."""
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]

    def joined(value: tuple[Any, int]) -> bytes:
        text = json.dumps(value[0]).encode()
        return (len(text) + value[1]).to_bytes(8, "little", signed=False) + text + data

    lengths = st.sampled_from((0, 0, 0, 0, 1, 1000, 2**40, 2**62))
    return spoiled_bytes(content) | st.tuples(spoiled_document(header), lengths).map(joined)


def spoiled_strings(content: bytes) -> st.SearchStrategy[bytes]:
    """A safetensors file, likewise, or with one of the JSON documents beside the tensors spoiled."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    documents = {key: value for key, value in header["__metadata__"].items() if value[:1] == "{"}

    def exchanged(key: str) -> st.SearchStrategy[bytes]:
        return spoiled_document(json.loads(documents[key])).map(lambda value: joined(key, json.dumps(value)))

    def joined(key: str, text: str) -> bytes:
        changed = json.dumps({**header, "__metadata__": {**header["__metadata__"], key: text}}).encode()
        return len(changed).to_bytes(8, "little") + changed + content[8 + size :]

    return spoiled_safetensors(content) | st.sampled_from(sorted(documents)).flatmap(exchanged)
