"""The run folder: what a search leaves behind, and what it resumes from."""

import csv
import hashlib
import io
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import rlcompress
from rlcompress.envs import Outcome, policy_id
from rlcompress.errors import RunError
from rlcompress.evaluation import Score
from rlcompress.planning import SensitivityRow
from rlcompress.searches.result import SearchResult

_LIBRARIES = ("torch", "numpy", "gymnasium", "stable-baselines3")


class RunFolder:
    """A folder that one search writes to.

    Args:
        path: of the folder; nothing is written before `begin`.
        settings: what the run was asked to do, JSON-able; written to run.json.
        resume: whether to go on with the run that the folder holds.

    Attributes:
        path: of the folder.
        recorded: scores by policy id of the run that is resumed, in the order of its evaluations.

    Raises:
        RunError: the folder holds another run, or nothing to resume, or a damaged history.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any], *, resume: bool = False) -> None:
        self.path = Path(path)
        self._history = self.path / "history.jsonl"
        if resume:
            self._check_same(settings)
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunError(f"{path} is not empty; give a new folder with --out, or go on with that run by --resume")
        parent = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        if not os.access(parent, os.W_OK):
            raise RunError(f"cannot write to {parent}; give another folder with --out")
        self._settings = settings
        self.recorded = self._read_history() if resume else {}

    def begin(self) -> None:
        """Make the folder with its run.json, unless the run is resumed.

        Raises:
            RunError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / "run.json").exists():
                self.write("run.json", json.dumps({"settings": self._settings, **_provenance()}, indent=1) + "\n")
        except OSError as error:
            raise RunError(f"cannot write to {self.path} ({error.strerror}); give another folder with --out") from None

    def write(self, name: str, text: str) -> None:
        """Write a file in one step, so that it is never half there."""
        part = self.path / f"{name}.part"
        part.write_text(text)
        part.replace(self.path / name)

    def append(self, outcome: Outcome) -> None:
        """Add an evaluation to history.jsonl, unless the run that is resumed has recorded it already."""
        key = policy_id(outcome.choices)
        if key in self.recorded:
            return
        batch, score = outcome.choices, outcome.score
        layers = [getattr(batch, name)[0].tolist() for name in batch.__dataclass_fields__]
        row = {
            "evaluation": outcome.number,
            "policy": key,
            "source": outcome.source,
            "energy_uj": outcome.energy_uj,
            "latency_ms": outcome.latency_ms,
            "saved_pct": outcome.saved_pct,
            "score": {name: getattr(score, name) for name in score.__dataclass_fields__},
            "choices": list(zip(*layers, strict=True)),
        }
        with self._history.open("a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def save_sensitivity(self, rows: Sequence[SensitivityRow]) -> None:
        """Write sensitivity.csv."""
        self._write_csv("sensitivity.csv", [asdict(row) for row in rows])

    def _write_csv(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write(name, text.getvalue())

    def save(self, result: SearchResult) -> None:
        """Write policy.json, front.csv, front/ID.json and result.json."""
        (self.path / "front").mkdir(exist_ok=True)
        for entry in result.front:
            self.write(f"front/{entry.id}.json", entry.policy.to_json())
        rows: list[dict[str, Any]] = [{"id": entry.id, **entry.row()} for entry in result.front]
        self._write_csv("front.csv", rows)
        self.write("policy.json", result.policy.to_json())
        self.write("result.json", json.dumps(result.as_json(), indent=1) + "\n")

    def _check_same(self, settings: dict[str, Any]) -> None:
        try:
            before = json.loads((self.path / "run.json").read_text())["settings"]
        except (OSError, ValueError, KeyError, TypeError):
            raise RunError(f"{self.path} holds no run to resume; leave out --resume to begin one") from None
        changed = sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key))
        if changed:
            raise RunError(
                f"{self.path} was begun with other settings ({changed[0]}: {before.get(changed[0])!r}, now "
                f"{settings.get(changed[0])!r}); resume with the same ones or give a new folder with --out"
            )

    def _read_history(self) -> dict[str, Score]:
        """Scores by policy; a last line that was cut short by a kill is dropped from the file."""
        if not self._history.exists():
            return {}
        recorded: dict[str, Score] = {}
        whole: list[str] = []
        lines = self._history.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                recorded[row["policy"]] = Score(**row["score"])
            except (ValueError, KeyError, TypeError):
                if number == len(lines):
                    break
                raise RunError(f"{self._history}: line {number} is damaged; remove it and resume again") from None
            whole.append(line + "\n")
        self.write(self._history.name, "".join(whole))
        return recorded


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _provenance() -> dict[str, Any]:
    return {
        "rlcompress": rlcompress.__version__,
        "revision": _git_revision(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "threads": torch.get_num_threads(),
    }


def _git_revision() -> str | None:
    """Commit of the source tree that the package runs from, or None for an installed package."""
    root = Path(rlcompress.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
