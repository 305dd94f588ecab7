import json

import pytest

from rlcompress.errors import RunError
from rlcompress.report.run_folder import read_run, read_runs
from tests.report.conftest import MakeRun


def test_a_finished_run_is_read(make_run: MakeRun) -> None:
    data = read_run(make_run())
    assert data.result is not None
    assert data.policy is not None
    assert [len(data.history), len(data.front), len(data.layers)] == [12, 3, 6]
    assert data.hardware.name == "scalable_sparse_16x32"
    assert data.run.settings.others == {"score_images": 250}


def test_a_run_that_is_still_written_is_read(make_run: MakeRun) -> None:
    folder = make_run(finished=False)
    history = folder / "history.jsonl"
    history.write_text(history.read_text() + '{"evaluation": 13, "pol')
    data = read_run(folder)
    assert data.result is None
    assert data.policy is None
    assert len(data.history) == 12
    assert data.leading is not None
    assert data.leading.evaluation == 6  # loses exactly the one point that is allowed
    (folder / "sensitivity.csv").unlink()
    history.unlink()
    assert read_run(folder).leading is None


def test_a_run_that_has_just_begun_holds_run_json_only(make_run: MakeRun) -> None:
    folder = make_run(finished=False)
    for path in folder.iterdir():
        if path.name != "run.json":
            path.unlink()
    assert len(read_run(folder).layers) == 6  # a built-in network and accelerator need no files


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.json", "{", r"run\.json is damaged \(.*\); restore it"),
        ("run.json", "[]", r"run\.json is damaged"),
        ("run.json", '{"settings": {"max_drop": "much"}}', r"run\.json is damaged \(settings\.max_drop"),
        ("result.json", '{"network": "x"}', r"result\.json is damaged \(hardware: Field required"),
        ("policy.json", "{}", r"policy\.json: .*; restore it, or search again"),
        ("front.csv", "id\n1\n", r"front\.csv is damaged \(energy_uj"),
        ("history.jsonl", "x\n{}\n", r"history\.jsonl: line 1 is damaged .*; remove that line"),
        ("sensitivity.csv", "layer,factor\na,b\n", r"sensitivity\.csv is damaged \(value"),
        ("network.json", "[{}]", r"network\.json: not a list of layer specs .*; restore it"),
        ("hardware.yaml", "name: 1", r"hardware\.yaml: line 1"),
    ],
)
def test_a_damaged_file_is_named_with_the_mend(make_run: MakeRun, name: str, text: str, message: str) -> None:
    folder = make_run()
    (folder / name).write_text(text)
    with pytest.raises(RunError, match=message) as raised:
        read_run(folder)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["policy.json", "front.csv"])
def test_a_missing_file_of_a_finished_run_is_named(make_run: MakeRun, name: str) -> None:
    folder = make_run()
    (folder / name).unlink()
    with pytest.raises(RunError, match=rf"{name}: cannot be read .*; restore it, or search again into a new folder"):
        read_run(folder)


def test_binary_rubbish_is_named(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "front.csv").write_bytes(b"\xff\xfe\x00rubbish")
    with pytest.raises(RunError, match=r"front\.csv is damaged \(it is no text in UTF-8\)"):
        read_run(folder)


def test_a_candidate_of_another_network_is_named(make_run: MakeRun) -> None:
    folder = make_run()
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    rows[2]["choices"].popitem()
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RunError, match="line 3 has 5 layers, the network 6"):
        read_run(folder)


def test_bits_out_of_range_are_named(make_run: MakeRun) -> None:
    folder = make_run()
    lines = (folder / "history.jsonl").read_text().splitlines()
    row = json.loads(lines[0])
    next(iter(row["choices"].values()))["weight_bits"] = 9
    (folder / "history.jsonl").write_text("\n".join([json.dumps(row), *lines[1:], ""]))
    with pytest.raises(RunError, match=r"line 1 is damaged .*weight_bits must be 2 to 8"):
        read_run(folder)


def test_no_run_is_said(make_run: MakeRun) -> None:
    with pytest.raises(RunError, match=r"holds no run\.json; give a folder"):
        read_run(make_run().parent)
    with pytest.raises(RunError, match="give at least one run folder"):
        read_runs([])


def test_an_unknown_network_without_specs_is_named(make_run: MakeRun) -> None:
    folder = make_run(network="mine")
    assert len(read_run(folder).layers) == 6
    (folder / "network.json").unlink()
    with pytest.raises(RunError, match="'mine' is not built in"):
        read_run(folder)
