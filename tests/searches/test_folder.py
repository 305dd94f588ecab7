import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlcompress.envs import Problem
from rlcompress.errors import RlcompressWarning, RunError
from rlcompress.hw_models import HardwareModel
from rlcompress.searches.folder import RunFolder, open_folder
from tests.searches.test_history import CHOICES, outcome

SETTINGS = {"agent": "random", "seed": 0}


@pytest.fixture
def begun(tmp_path: Path, problem: Problem) -> RunFolder:
    folder = RunFolder(tmp_path / "run", SETTINGS)
    folder.begin({}, problem)
    return folder


def test_two_searches_do_not_share_a_folder(begun: RunFolder, problem: Problem) -> None:
    with pytest.raises(RunError, match="is being written by another search; wait for it"):
        RunFolder(begun.path, SETTINGS, resume=True)
    begun.release()
    RunFolder(begun.path, SETTINGS, resume=True).release()


def test_two_searches_that_begin_together_do_not_share_a_folder(tmp_path: Path, problem: Problem) -> None:
    first, second = RunFolder(tmp_path / "run", SETTINGS), RunFolder(tmp_path / "run", SETTINGS)
    first.begin({}, problem)
    with pytest.raises(RunError, match="is being written by another search"):
        second.begin({}, problem)
    first.release()
    with pytest.raises(RunError, match="is not empty"):
        second.begin({}, problem)


def test_tuples_among_the_settings_do_not_keep_a_run_from_going_on(tmp_path: Path, problem: Problem) -> None:
    settings = {**SETTINGS, "agent_settings": {"agent": {"net_arch": (64, 64)}}}
    first = RunFolder(tmp_path / "run", settings)
    first.begin({}, problem)
    first.release()
    RunFolder(tmp_path / "run", settings, resume=True).release()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunError, match=r"run is a file; give a new folder with --out"):
        RunFolder(tmp_path / "run", SETTINGS)
    with pytest.raises(RunError, match=r"run is a file; give a new folder with --out"):
        open_folder(tmp_path / "run", "sweep.json", {}, resume=False)


def test_the_lock_of_a_killed_search_is_gone(begun: RunFolder) -> None:
    begun.release()
    code = (
        "import os, signal, sys\nfrom rlcompress.searches.folder import RunFolder\n"
        f"RunFolder({str(begun.path)!r}, {SETTINGS!r}, resume=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    RunFolder(begun.path, SETTINGS, resume=True).release()


def test_a_search_that_was_killed_while_it_began_can_begin_again(begun: RunFolder, problem: Problem) -> None:
    begun.release()
    (begun.path / "run.json").rename(begun.path / "run.json.part")
    again = RunFolder(begun.path, SETTINGS)
    again.begin({}, problem)
    assert (begun.path / "run.json").exists()


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_in_one_line_and_leaves_the_folder_whole(
    begun: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun.append(outcome(1), CHOICES)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        for write in (lambda: begun.append(outcome(2), CHOICES), lambda: begun.write("policy.json", "{}")):
            with pytest.raises(RunError, match=r"cannot write to .*No space left on device.*go on by --resume"):
                write()
    assert not list(begun.path.glob("*.part"))
    begun.release()
    resumed = RunFolder(begun.path, SETTINGS, resume=True)
    assert len(resumed.recorded) >= 1


def test_a_folder_below_a_file_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write to .*file; give another folder with --out"):
        RunFolder(tmp_path / "file" / "run", SETTINGS)


def test_a_read_only_folder_is_told_in_one_line(begun: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    begun.release()

    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    folder = RunFolder(begun.path, SETTINGS, resume=True)
    folder.release()
    lock = SimpleNamespace(is_locked=False, acquire=refused, lock_file=folder.path / ".lock")
    monkeypatch.setattr(folder, "_lock", lock)
    with pytest.raises(RunError, match=r"cannot write to .*Permission denied"):
        folder._hold()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(RunError, match="cannot write to"):
        RunFolder(begun.path, SETTINGS, resume=True)


def test_a_run_goes_on_with_the_accelerator_that_it_was_begun_on(begun: RunFolder, problem: Problem) -> None:
    begun.check_hardware(problem.hardware)
    begun.release()
    resumed = RunFolder(begun.path, SETTINGS, resume=True)
    resumed.check_hardware(problem.hardware)
    changed = problem.hardware.description.model_copy(update={"clock_mhz": 123.0})
    with pytest.raises(RunError, match=r"was begun on another scalable_sparse_16x32 than is given now; give .*\.yaml"):
        resumed.check_hardware(HardwareModel(changed))
    resumed.release()


def test_going_on_with_another_version_is_told(begun: RunFolder, problem: Problem) -> None:
    begun.release()
    path = begun.path / "run.json"
    made = json.loads(path.read_text())
    for before, message in (
        (made | {"rlcompress": "0.0.1"}, r"begun with rlcompress '0\.0\.1' and goes on with '\d"),
        (made | {"libraries": made["libraries"] | {"torch": "1.0"}}, r"begun with torch '1\.0' and goes on with '2"),
        (made | {"libraries": made["libraries"] | {"torch": [1] * 99}}, r"begun with torch \[1, 1, .*\.\.\.\]"),
    ):
        path.write_text(json.dumps(before))
        folder = RunFolder(begun.path, SETTINGS, resume=True)
        with pytest.warns(RlcompressWarning, match=message):
            folder.begin({}, problem)
        folder.release()
    path.write_text(json.dumps({key: value for key, value in made.items() if key != "libraries"}))
    folder = RunFolder(begun.path, SETTINGS, resume=True)
    folder.begin({}, problem)
    folder.release()
