"""The run folder: what a search leaves behind, and what it resumes from."""

import csv
import io
import json
import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from rlcompress.envs import Outcome, Problem, policy_id
from rlcompress.errors import RunError
from rlcompress.evaluation import Score
from rlcompress.files import LimitError, parse_json, read_text, reason, write_atomic
from rlcompress.hw_models import HardwareModel
from rlcompress.hw_models import load as load_hardware
from rlcompress.planning import SensitivityRow
from rlcompress.searches.history import History
from rlcompress.searches.provenance import provenance_now, warn_of_versions
from rlcompress.searches.result import FrontEntry, SearchResult
from rlcompress.searches.score_store import ScoreStore
from rlcompress.spec import LayerChoice, specs_to_json

_RUN = "run.json"
_LOCK = ".lock"
_SENSITIVITY = "sensitivity.csv"
_MAX_RUN_BYTES = 2_000_000
_MAX_TABLE_BYTES = 50_000_000
_TABLE = TypeAdapter(tuple[SensitivityRow, ...])


class RunFolder:
    """A folder that one search writes to.

    Args:
        path: of the folder; nothing is written before `begin`.
        settings: what the run was asked to do, JSON-able; written to run.json.
        resume: whether to go on with the run that the folder holds.
        command: that gives the run again; written to run.json.

    Attributes:
        path: of the folder.
        recorded: scores by policy id of the run that is resumed, in the order of its evaluations.

    Raises:
        RunError: the folder holds another run, or nothing to resume, or a damaged history, or another search writes to
            it.
    """

    def __init__(
        self, path: str | Path, settings: dict[str, Any], *, resume: bool = False, command: str | None = None
    ) -> None:
        self.path = Path(path)
        settings = json.loads(json.dumps(settings))  # as run.json will hold them: lists for tuples
        self._history = History(self.path / "history.jsonl")
        self._lock = lock_of(self.path)
        if resume:
            self._check_same(settings)
        else:
            self._check_fresh()
        parent = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            raise RunError(f"cannot write to {parent}; give another folder with --out")
        self._settings = settings
        self._command = command
        self._resumed = resume
        self.recorded: dict[str, Score] = {}
        if resume:
            self._hold()
            self.recorded = self._history.read()
        self._finals = ScoreStore(self.path / "final_scores.jsonl")

    def check_hardware(self, hardware: HardwareModel) -> None:
        """See that a run that is resumed goes on with the accelerator that it was begun on, whose file it holds.

        Raises:
            RunError: the description has changed, so that energies before and after would not compare.
        """
        suffix, description = hardware.document
        kept = self.path / f"hardware.{suffix}"
        if self._resumed and kept.exists() and load_hardware(kept).document[1] != description:
            raise RunError(
                f"{self.path} was begun on another {hardware.name} than is given now; give {kept}, or begin anew with "
                "another --out"
            )

    def begin(self, inputs: dict[str, Any], problem: Problem) -> None:
        """Make the folder with network.json, the hardware's description and run.json; a resumed run keeps what it has.

        Args:
            inputs: what the run was given beside its settings, JSON-able, ``data`` among it; written to run.json.
            problem: whose network and hardware are written, so that reports need nothing but the folder.

        A run that is resumed with other versions than it was begun with goes on with a warning.

        Raises:
            RunError: it cannot be written, or the run that is resumed was begun on other data.
        """
        provenance = provenance_now()
        if self._resumed:
            before = _read_json(self.path / _RUN) or {}
            check_same(self.path, {"data": before.get("data")}, {"data": inputs.get("data")})
            warn_of_versions(self.path, before, provenance)
        with self._reporting():
            self.path.mkdir(parents=True, exist_ok=True)
        self._hold()
        if not self._resumed:
            self._check_fresh()  # since the constructor looked, another search may have begun here
        suffix, description = problem.hardware.document
        values = {"settings": self._settings, "command": self._command, **inputs, **provenance}
        files = {
            f"hardware.{suffix}": description,
            "network.json": specs_to_json(problem.network.specs),
            _RUN: json.dumps(values, indent=1) + "\n",  # the last, since a folder with it has begun
        }
        for name, text in files.items():
            if not (self._resumed and (self.path / name).exists()):
                self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Write a file in one step, so that it is never half there.

        Raises:
            RunError: it cannot be written.
        """
        with self._reporting():
            write_atomic(self.path / name, text)

    def append(self, outcome: Outcome, choices: Mapping[str, LayerChoice]) -> None:
        """Add an evaluation to history.jsonl, unless the run that is resumed has recorded it already.

        Raises:
            RunError: it cannot be written.
        """
        if policy_id(outcome.choices) in self.recorded:
            return
        with self._reporting():
            self._history.append(outcome, choices)

    def final_scores(self, policy: str) -> list[Score] | None:
        """The scores of a policy's final network, on fresh images and on those of the candidates, if they are kept."""
        return self._finals.all(policy) if policy in self._finals else None

    def keep_final(self, policy: str, scores: Sequence[Score]) -> None:
        """Keep the scores of a policy's final network for a run that is resumed.

        Raises:
            RunError: they cannot be written.
        """
        with self._reporting():
            self._finals.add(policy, scores)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"cannot write to {self.path} ({reason(error)}); everything before is kept: make room, or make it "
                "writable, and go on by --resume"
            ) from None

    def release(self) -> None:
        """Let other searches go on with the run."""
        self._lock.release()

    def _hold(self) -> None:
        if not self._lock.is_locked:
            hold(self._lock)

    def save_sensitivity(self, rows: Sequence[SensitivityRow]) -> None:
        """Write sensitivity.csv."""
        self._write_csv(_SENSITIVITY, [asdict(row) for row in rows])

    def read_sensitivity(self) -> tuple[SensitivityRow, ...]:
        """The table of the run that is resumed; nothing where it is absent or damaged and has to be measured again."""
        if not self._resumed:
            return ()
        try:
            rows = csv.DictReader(io.StringIO(read_text(self.path / _SENSITIVITY, _MAX_TABLE_BYTES)))
            return _TABLE.validate_python(list(rows))
        except (OSError, LimitError, csv.Error, ValidationError):
            return ()

    def _write_csv(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write(name, text.getvalue())

    def save_front(self, front: Sequence[FrontEntry]) -> None:
        """Write front.csv and front/ID.json."""
        with self._reporting():
            (self.path / "front").mkdir(exist_ok=True)
        for entry in front:
            self.write(f"front/{entry.id}.json", entry.policy.to_json())
        self._write_csv("front.csv", [{"id": entry.id, **entry.row()} for entry in front])

    def save(self, result: SearchResult) -> None:
        """Write the policies that reached their goal, and result.json."""
        for name, policy in result.policies.items():
            self.write(name, policy.to_json())
        self.write("result.json", json.dumps(result.as_json(), indent=1) + "\n")

    def _check_fresh(self) -> None:
        """Refuse a folder that holds anything but what a search leaves that was killed while it began."""
        begun = (_LOCK, "network.json", "hardware.yaml", "hardware.csv")
        _check_no_file(self.path)
        empty = not self.path.exists() or all(
            path.name.removesuffix(".part") in (*begun, _RUN) for path in self.path.iterdir()
        )
        if not empty or (self.path / _RUN).exists():
            raise RunError(
                f"{self.path} is not empty; give a new folder with --out, or go on with that run by --resume "
                "(resume=True in Python)"
            )

    def _check_same(self, settings: dict[str, Any]) -> None:
        values = _read_json(self.path / _RUN)
        if values is None:
            raise RunError(f"{self.path} holds no run to resume; leave out --resume to begin one")
        before = values.get("settings")
        if not isinstance(before, dict):
            raise RunError(f"{self.path / _RUN}: no settings inside; begin the run again in a new folder")
        check_same(self.path, before, settings)


def lock_of(path: Path) -> FileLock:
    """The lock of a folder that one process at a time writes to; it goes with the process that holds it."""
    return FileLock(path / _LOCK, timeout=0)


def hold(lock: FileLock) -> None:
    """Take a folder's lock.

    Raises:
        RunError: another process holds it, or it cannot be written.
    """
    folder = Path(lock.lock_file).parent
    try:
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{folder} is being written by another search; wait for it, or give another folder with --out"
        ) from None
    except OSError as error:
        raise RunError(f"cannot write to {folder} ({reason(error)}); make it writable") from None


def open_folder(path: Path, name: str, settings: dict[str, Any], *, resume: bool) -> Path:
    """Make a folder whose file ``name`` holds what was asked for, or find it again.

    Raises:
        RunError: it holds something else, or cannot be written.
    """
    if resume:
        before = _read_json(path / name)
        if before is None:
            raise RunError(f"{path} holds nothing to resume; leave out --resume to begin")
        check_same(path, before, settings)
        return path
    _check_no_file(path)
    if path.exists() and any(path.iterdir()):
        raise RunError(f"{path} is not empty; give a new folder with --out, or go on with it by --resume")
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_atomic(path / name, json.dumps(settings, indent=1) + "\n")
    except OSError as error:
        raise RunError(f"cannot write to {path} ({reason(error)}); give another folder with --out") from None
    return path


def _check_no_file(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; give a new folder with --out")


def check_same(path: Path, before: dict[str, Any], settings: dict[str, Any]) -> None:
    """Check that a folder was begun with the settings that it is to go on with.

    Raises:
        RunError: it was not; the message names the first setting that differs.
    """
    changed = sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key))
    if changed:
        was, now = (reprlib.repr(values.get(changed[0])) for values in (before, settings))
        raise RunError(
            f"{path} was begun with other settings ({changed[0][:60]}: {was}, now {now}); "
            "resume with the same ones or give a new folder with --out"
        )


def _read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None where there is no file."""
    try:
        values = parse_json(read_text(path, _MAX_RUN_BYTES))
    except OSError:
        return None
    except LimitError as error:
        raise RunError(f"{path}: damaged ({error}); begin the run again in a new folder") from None
    if not isinstance(values, dict):
        raise RunError(f"{path}: no settings inside; begin the run again in a new folder")
    return values
