import os
from pathlib import Path

import pytest

from rlcompress.files import LimitError, check_extent, parse_json, read_bytes, read_text, reason, write_atomic


def test_json_within_limits_is_what_json_gives() -> None:
    assert parse_json('{"a": [1, -2.5, true, null, "\\u00e9"]}') == {"a": [1, -2.5, True, None, "é"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "NaN is no number of JSON"),
        ("-Infinity", "-Infinity is no number"),
        ("-1e400", "the number -1e400 is not finite"),
        (str(2**63), "the number 9223372036854775808 is too large"),
        ("9" * 30, r"the number 99999999999999999999\.\.\. is too large"),
        ('{"a": 1, "a": 1}', "the key 'a' is given twice"),
        ("[" * 26 + "]" * 26, "nested deeper than 24"),
        ("[" * 100_000, "nested deeper than 24"),
        ("{", "Expecting property name"),
    ],
)
def test_json_beyond_limits(text: str, message: str) -> None:
    with pytest.raises(LimitError, match=message):
        parse_json(text)


def test_the_ends_of_the_limits_are_within() -> None:
    assert parse_json(f"[{2**63 - 1}, {-(2**63)}]") == [2**63 - 1, -(2**63)]
    assert parse_json("[" * 24 + "]" * 24)
    check_extent({"a": ({1, 2}, [3])})
    with pytest.raises(LimitError, match="64 bits"):
        check_extent([{"a": 2**63}])


def test_files_are_read_up_to_a_size(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    assert read_bytes(tmp_path / "f", 5) == b"12345"
    with pytest.raises(LimitError, match="larger than 4 bytes"):
        read_bytes(tmp_path / "f", 4)
    (tmp_path / "f").write_bytes(b"\xff")
    with pytest.raises(LimitError, match="no text in UTF-8"):
        read_text(tmp_path / "f", 5)


def test_folders_and_pipes_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="it is a folder"):
        read_bytes(tmp_path, 5)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is no regular file"):
        read_bytes(tmp_path / "pipe", 5)


def test_the_reason_leaves_the_path_out(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011  # what it says is what is tested
        read_bytes(tmp_path / "none", 5)
    assert reason(caught.value) == "No such file or directory"


def test_a_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_atomic(path, "old")
    write_atomic(path, b"new")
    assert path.read_text() == "new"

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "newer")
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
    assert path.read_text() == "new"


def test_what_a_link_names_is_written_and_devices_and_pipes_stay(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_atomic(tmp_path / "pipe", "said")
    assert os.read(reader, 10) == b"said"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "target"]


def test_a_mark_at_the_beginning_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbflayer")
    assert read_text(tmp_path / "f", 10) == "layer"
