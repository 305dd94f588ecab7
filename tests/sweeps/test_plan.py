from pathlib import Path

import pytest

from rlcompress.errors import RunError
from rlcompress.sweeps import read_sweep

TEXT = """\
networks:
  - {network: digits_cnn, weights: w.safetensors, data: digits}
hardware: [scalable_sparse_16x32, npu_int8]
max_drops: [0.5, 1.0]
evaluations: [20]
agents: [uniform]
seeds: [0, 1, 2]
settings: {score_images: 200}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.safetensors").touch()
    return tmp_path / "sweep.yaml"


def test_every_combination_is_a_job_with_a_folder_of_its_own(file: Path) -> None:
    file.write_text(TEXT)
    jobs = read_sweep(file).jobs
    assert len({job.id for job in jobs}) == len(jobs) == 1 * 2 * 2 * 1 * 1 * 3
    assert [job.seed for job in jobs[:4]] == [0, 1, 2, 0]
    assert jobs[0].id.startswith("digits_cnn-scalable_sparse_16x32-uniform-0.5-s0-")
    assert jobs[0].search_settings == {
        "score_images": 200, "max_drop": 0.5, "evaluations": 20, "agent": "uniform", "seed": 0,
    }  # fmt: skip


def test_data_may_have_options(file: Path) -> None:
    file.write_text(TEXT.replace("data: digits", "data: 'digits?search=moved', metric: top5"))
    assert read_sweep(file).networks[0].data == "digits?search=moved"


def test_what_is_left_out_has_defaults_and_repetitions_are_one_job(file: Path) -> None:
    file.write_text("networks: [{network: digits_cnn, data: digits}]\nhardware: [npu_int8, npu_int8]\n")
    (job,) = read_sweep(file).jobs
    assert (job.agent, job.seed, job.max_drop, job.evaluations) == ("composite", 0, 1.0, 200)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds", "seed", r"line 7: seed: is no key of a sweep; did you mean 'seeds'\?"),
        ("hardware: [scalable_sparse_16x32, npu_int8]\n", "", "hardware: is missing; add this key"),
        ("weights:", "weigths:", r"line 2: networks.0.weigths: is no key of a sweep; did you mean 'weights'\?"),
        ("[0.5, 1.0]", "[-1]", "line 4: max_drops.0: .*greater than or equal to 0, got -1"),
        ("[0.5, 1.0]", "[.nan]", r"line 4: max_drops\.0: .*finite"),
        ("[0, 1, 2]", "[]", "line 7: seeds: .*at least 1 item"),
        ("[0, 1, 2]", "[x]", r"line 7: seeds\.0: .*integer"),
        ("[0, 1, 2]", str(list(range(3000))), "stands for 12000 searches; split it"),
        ("digits_cnn", "digits_cmn", "unknown network 'digits_cmn': did you mean digits_cnn"),
        ("digits_cnn", "os.path:join", "network 'os.path:join' is code, which a file does not get run; allow it with"),
        ("data: digits", "data: evil.code:run", "data 'evil.code:run' is code or unknown; name one of digits"),
        (
            "data: digits",
            "data: digits, metric: evil.py:run",
            "metric 'evil.py:run' is code, which a file does not get",
        ),
        (
            "score_images: 200",
            "max_drop: 5.0",
            r"line 8: settings: .*max_drop stands beside .*; give max_drops: \[\.\.\.\]",
        ),
        ("score_images: 200", "agent: dp", r"agent stands beside settings, not among them; give agents"),
        ("data: digits", "data: digits, mean: [.inf]", r"networks\.0\.mean\.0: .*finite"),
        ("score_images: 200", "memory: 2024-01-01", "line 8: settings: .*memory is a date; quote it, or give text"),
        ("w.safetensors", "none.safetensors", "weights none.safetensors: no such file"),
        (TEXT, "[1, 2]", "Input should be a valid dictionary"),
        (TEXT, "", "valid dictionary"),
        (TEXT, "a: &a [*a]", "is an alias"),
    ],
)
def test_mistakes_are_named_in_one_line(file: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(RunError, match=f"sweep .*sweep.yaml: .*{message}") as caught:
        read_sweep(file)
    assert "\n" not in str(caught.value)


def test_code_is_named_only_by_those_who_trust_the_file(file: Path) -> None:
    own = TEXT.replace("digits_cnn", "mine.networks:make")
    file.write_text(own.replace("data: digits", "data: mine.data:load, mean: [0.5], std: [0.25]"))
    subject = read_sweep(file, trusted=True).networks[0]
    assert (subject.data, subject.mean, subject.std) == ("mine.data:load", (0.5,), (0.25,))
    file.write_text(own)
    with pytest.raises(RunError, match=r"'mine.networks:make' does not say how its input is normalised; give it mean"):
        read_sweep(file, trusted=True)


def test_a_normalisation_that_is_not_said_leaves_the_folders_their_names(file: Path) -> None:
    file.write_text(TEXT)
    plain = read_sweep(file)
    assert set(plain.model_dump(mode="json")["networks"][0]) == {"network", "data", "weights", "metric"}
    file.write_text(TEXT.replace("data: digits", "data: digits, mean: [0.5]"))
    assert {job.id for job in read_sweep(file).jobs}.isdisjoint(job.id for job in plain.jobs)


def test_no_file_is_told(file: Path) -> None:
    with pytest.raises(RunError, match=r"No such file or directory; give a YAML file"):
        read_sweep(file)
