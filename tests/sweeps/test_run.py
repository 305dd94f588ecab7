import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import save_file

from rlcompress.errors import HardwareError, RunError
from rlcompress.sweeps import Job, Sweep, run_jobs, run_sweep
from rlcompress.sweeps import run as run_module
from rlcompress.sweeps.cluster import Cluster
from rlcompress.sweeps.job import note_failure, run_job
from tests.conftest import Digits

RESULT = {
    "evaluations": 3, "seconds": 1.5,
    "best": {"energy_uj": 1.0, "latency_ms": 2.0, "energy_saved_pct": 50.0, "drop_search": 0.5, "drop_test": 0.6},
}  # fmt: skip


def sweep_of(**changes: object) -> Sweep:
    values = {"networks": [{"network": "digits_cnn", "data": "digits"}], "hardware": ["npu_int8"], "agents": ["random"]}
    return Sweep.model_validate({**values, **changes})


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stands for searching: writes a result, and fails for seed 1 the first time; lists the seeds searched."""
    seeds: list[int] = []

    def work(job: Job, folder: Path) -> None:
        (folder / "failed.json").unlink(missing_ok=True)
        seeds.append(job.seed)
        if seeds.count(1) == job.seed == 1:
            note_failure(folder, "no policy\nwithin 1 point")
            return
        (folder / "run").mkdir(parents=True, exist_ok=True)
        (folder / "run" / "result.json").write_text(json.dumps(RESULT))

    monkeypatch.setattr(run_module, "run_job", work)
    return seeds


def test_every_search_is_a_row_and_what_failed_is_tried_again(searched: list[int], tmp_path: Path) -> None:
    sweep, told = sweep_of(seeds=[0, 1, 2]), []
    rows = run_sweep(sweep, tmp_path / "out", on_row=lambda row, known, total: told.append((row.seed, known, total)))
    assert [row.error for row in rows] == ["", "no policy within 1 point", ""]
    assert told == [(0, 1, 3), (1, 2, 3), (2, 3, 3)]
    table = list(csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    assert [row["energy_saved_pct"] for row in table] == ["50.0", "", "50.0"]
    again = run_sweep(sweep, tmp_path / "out", resume=True)
    assert searched == [0, 1, 2, 1]
    assert not any(row.error for row in again)


def test_a_sweep_goes_on_where_it_was_interrupted(
    searched: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, work = sweep_of(seeds=[0, 2, 3]), run_module.run_job

    def interrupted(job: Job, folder: Path) -> None:
        if job.seed == 2:
            raise KeyboardInterrupt
        work(job, folder)

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "run_job", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(sweep, tmp_path / "out")
    assert len(run_sweep(sweep, tmp_path / "out", resume=True)) == 3
    assert searched == [0, 2, 3]


def test_jobs_of_several_sweeps_share_a_folder(searched: list[int], tmp_path: Path) -> None:
    first, both = sweep_of(seeds=[0]).jobs, [*sweep_of(seeds=[2]).jobs, *sweep_of(seeds=[0]).jobs]
    run_jobs(first, tmp_path / "out")
    assert [row.seed for row in run_jobs(both, tmp_path / "out")] == [2, 0]
    assert searched == [0, 2]


def test_another_sweep_keeps_out_of_the_folder(searched: list[int], tmp_path: Path) -> None:
    run_sweep(sweep_of(), tmp_path / "out")
    with pytest.raises(RunError, match="is not empty"):
        run_sweep(sweep_of(), tmp_path / "out")
    with pytest.raises(RunError, match="begun with other settings"):
        run_sweep(sweep_of(seeds=[5]), tmp_path / "out", resume=True)


def test_a_damaged_result_is_a_row_that_says_so(searched: list[int], tmp_path: Path) -> None:
    sweep = sweep_of()
    run_sweep(sweep, tmp_path / "out")
    (tmp_path / "out" / sweep.jobs[0].id / "run" / "result.json").write_text('{"best": NaN}')
    (row,) = run_sweep(sweep, tmp_path / "out", resume=True)
    assert row.error == "result.json: NaN is no number of JSON"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"agents": ["nobody"]}, RunError, "unknown agent 'nobody'"),
        ({"hardware": ["abacus"]}, HardwareError, "abacus"),
        ({"networks": [{"network": "vdsr", "data": "digits", "weights": "w"}]}, RunError, "weights w: no such file"),
        ({"settings": {"colour": 1}}, RunError, "unknown setting 'colour'"),
        ({"settings": {"min_bits": "two", "score_images": "x"}}, RunError, "min_bits.*, got 'two'"),
    ],
)
def test_what_would_fail_at_the_end_is_refused_at_the_beginning(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_sweep(sweep_of(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_why_a_job_fails_is_kept(tmp_path: Path) -> None:
    (job,) = sweep_of().jobs
    run_job(job, tmp_path / "job")
    assert "digits_cnn is not trained" in (tmp_path / "job" / "failed.json").read_text()


def test_without_ray_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match="Ray is not installed; install it, or the extra 'ray'"):
        run_sweep(sweep_of(), tmp_path / "out", cluster=Cluster())


@pytest.fixture(scope="module")
def sweep_file(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 networks (one network with two weights) x 2 accelerators x 2 seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    for name in ("a", "b"):
        save_file(digits.model.state_dict(), folder / f"{name}.safetensors")
    networks = [{"network": "digits_cnn", "weights": str(folder / f"{n}.safetensors"), "data": "digits"} for n in "ab"]
    values = {
        "networks": networks, "hardware": ["scalable_sparse_16x32", "npu_int8"], "max_drops": [100.0],
        "evaluations": [3], "agents": ["random"], "seeds": [0, 1], "settings": {"score_images": 100},
    }  # fmt: skip
    path = folder / "sweep.yaml"
    path.write_text(json.dumps(values))
    return path


_ROOT = Path(__file__).parents[2]


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "rlcompress", "sweep", *map(str, arguments)]


@pytest.mark.slow
def test_a_sweep_here(sweep_file: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        _command(sweep_file, "--out", tmp_path / "out"), capture_output=True, text=True, check=False, cwd=_ROOT
    )
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    assert len(rows) == 8
    assert not any(row["error"] for row in rows)
    assert "8 searches" in done.stdout
    # the same seed on the same accelerator finds the same, whichever of the equal networks it is
    found = [(row["hardware"], row["seed"], row["energy_uj"]) for row in rows]
    assert sorted(found[:4]) == sorted(found[4:])


@pytest.mark.slow
def test_a_sweep_on_ray_survives_a_killed_worker(sweep_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    out = tmp_path / "out"
    command = _command(sweep_file, "--out", out, "--ray", "--workers", 2)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_ROOT) as sweep:
        killed = _kill_a_worker(sweep, out)
        said = sweep.communicate(timeout=600)
    assert killed, said
    assert sweep.returncode == 0, said
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert len(rows) == 8
    assert not any(row["error"] for row in rows)


def _kill_a_worker(sweep: "subprocess.Popen[str]", out: Path) -> bool:
    """Kill one of Ray's workers while it searches."""
    while sweep.poll() is None:
        if list(out.glob("*/run/history.jsonl")):
            for worker in _descendants(sweep.pid):
                if Path(f"/proc/{worker}/cmdline").read_bytes().startswith(b"ray::_work"):
                    os.kill(worker, signal.SIGKILL)
                    return True
        time.sleep(0.05)
    return False


def _descendants(process: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, left = [], [process]
    while left:
        own = children.get(left.pop(), [])
        found += own
        left += own
    return found


def test_a_network_in_code_is_searched(digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_digits.py").write_text(
        "from rlcompress.network.weights import build\n\ndef net():\n    return build('digits_cnn', None)[0]\n"
    )
    monkeypatch.chdir(tmp_path)
    save_file(digits.model.state_dict(), tmp_path / "w.safetensors")
    (mean,), (std,) = digits.card.mean, digits.card.std
    subject = {
        "network": "own_digits.py:net",
        "data": "digits",
        "weights": "w.safetensors",
        "mean": [mean],
        "std": [std],
    }
    values = {"networks": [subject], "hardware": ["scalable_sparse_16x32"], "evaluations": [2], "max_drops": [100.0]}
    sweep = sweep_of(**values, settings={"score_images": 100, "repair": "none"})
    (row,) = run_sweep(sweep, tmp_path / "out")
    assert (row.error, row.evaluations) == ("", 2)
