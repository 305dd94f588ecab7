"""`RunData`: a run folder, read for a report; the search may still be writing it."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from rlcompress import hw_models
from rlcompress.errors import PolicyError, RlcompressError, RunError, first_problem
from rlcompress.files import LimitError, parse_json, read_text
from rlcompress.hw_models import HardwareModel, million_of
from rlcompress.network.cards import CARDS
from rlcompress.network.spec_cards import built_in_specs
from rlcompress.report.records import Candidate, Entry, Record, Result, Run, Sensitivity
from rlcompress.spec import CompressionPolicy, LayerSpec, specs_from_json

_MAX_FILE_BYTES = 500_000_000  # a history of half a million evaluations
_MEND = "restore it, or search again into a new folder"

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """A run folder's content.

    Attributes:
        path: of the folder.
        run: settings and versions.
        specs: the network's operators.
        hardware: the accelerator.
        history: every evaluation so far.
        sensitivity: the table; empty if it is not measured yet.
        front: the Pareto front; empty while the search runs.
        result: None while the search runs.
        policy: the best one, or the nearest where no policy is within the allowed drop; None while the search runs.
    """

    path: Path
    run: Run
    specs: tuple[LayerSpec, ...]
    hardware: HardwareModel
    history: tuple[Candidate, ...]
    sensitivity: tuple[Sensitivity, ...]
    front: tuple[Entry, ...]
    result: Result | None
    policy: CompressionPolicy | None

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that a policy has a choice for."""
        return tuple(spec.name for spec in self.specs if spec.compressible)

    @property
    def unit(self) -> str:
        """Of energies."""
        return million_of(self.hardware.description.energy_unit)

    @property
    def leading(self) -> Candidate | None:
        """The candidate that saves most within the allowed drop, as far as the scoring images say."""
        allowed = [c for c in self.history if c.score.drop <= self.run.settings.max_drop]
        return max(allowed, key=lambda c: c.saved_pct, default=None)


def read_run(path: str | Path) -> RunData:
    """Read a run folder.

    Raises:
        RunError: it is no run folder, or a file is damaged or missing; the message names the file and the mend.
    """
    folder = Path(path)
    if not (folder / "run.json").is_file():
        raise RunError(f"{folder} holds no run.json; give a folder that `rlcompress search` or `demo` wrote")
    run = _json(folder / "run.json", Run)
    # In this order a search that ends meanwhile can only add files: result.json is written last.
    result = _json(folder / "result.json", Result) if (folder / "result.json").exists() else None
    finished = result is not None
    data = RunData(
        path=folder,
        run=run,
        specs=_specs(folder, run),
        hardware=_hardware(folder, run),
        history=_history(folder / "history.jsonl"),
        sensitivity=_rows(folder / "sensitivity.csv", Sensitivity),
        front=_rows(folder / "front.csv", Entry, needed=finished) if finished else (),
        result=result,
        policy=None if result is None else _policy(folder, result),
    )
    _check_layers(data)
    return data


def _policy(folder: Path, result: Result) -> CompressionPolicy:
    """policy.json; where a search that missed its goal wrote none, the nearest one on the front."""
    path = folder / "policy.json"
    if result.missed and not path.exists():
        path = folder / "front" / f"{Path(result.best.id).name}.json"
    return _parsed(path, lambda text, name: CompressionPolicy.from_json(text, source=name))


def _check_layers(data: RunData) -> None:
    if data.policy is not None:
        try:
            data.policy.check_fits(data.specs)
        except RlcompressError as error:
            raise RunError(f"{data.path / 'policy.json'}: {error}; {_MEND}") from None
    for number, candidate in enumerate(data.history, 1):
        if candidate.choices and len(candidate.choices) != len(data.layers):
            raise RunError(
                f"{data.path / 'history.jsonl'}: line {number} has {len(candidate.choices)} layers, the network "
                f"{len(data.layers)}; {_MEND}"
            )


def _specs(folder: Path, run: Run) -> tuple[LayerSpec, ...]:
    if (folder / "network.json").exists():
        return _parsed(folder / "network.json", specs_from_json)
    if run.settings.network in CARDS:
        return built_in_specs(run.settings.network)
    raise RunError(f"{folder / 'network.json'} is missing and {run.settings.network!r} is not built in; {_MEND}")


def _hardware(folder: Path, run: Run) -> HardwareModel:
    for suffix in ("yaml", "csv"):
        file = folder / f"hardware.{suffix}"
        if file.exists():
            return _parsed(file, lambda _text, path: hw_models.load(path, Path(run.settings.hardware).stem))
    return hw_models.load(run.settings.hardware)


def _history(path: Path) -> tuple[Candidate, ...]:
    """Every whole line; the last one may be half written."""
    if not path.exists():
        return ()
    lines = _text(path).splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = Candidate.model_validate_json(line)
        except (ValidationError, PolicyError) as error:
            if number < len(lines):
                said = first_problem(error) if isinstance(error, ValidationError) else str(error)
                raise RunError(f"{path}: line {number} is damaged ({said}); remove that line") from None
            break
        rows.append(row)
    return tuple(rows)


def _json(path: Path, kind: type[R]) -> R:
    def parsed(text: str, _source: str) -> R:
        return kind.model_validate(parse_json(text))

    return _parsed(path, parsed)


def _rows(path: Path, kind: type[R], *, needed: bool = False) -> tuple[R, ...]:
    if not needed and not path.exists():
        return ()

    def parsed(text: str, _source: str) -> tuple[R, ...]:
        return tuple(kind.model_validate(_filled(row)) for row in csv.DictReader(io.StringIO(text)))

    return _parsed(path, parsed)


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    """A CSV row without its empty cells."""
    return {key: value for key, value in row.items() if key and value not in ("", None)}


T = TypeVar("T")


def _parsed(path: Path, parse: Callable[[str, str], T]) -> T:
    text = _text(path)
    try:
        return parse(text, str(path))
    except ValidationError as error:
        raise RunError(f"{path} is damaged ({first_problem(error)}); {_MEND}") from None
    except (LimitError, csv.Error) as error:
        raise RunError(f"{path} is damaged ({error}); {_MEND}") from None
    except RlcompressError as error:
        raise RunError(f"{error}; {_MEND}") from None


def _text(path: Path) -> str:
    try:
        return read_text(path, _MAX_FILE_BYTES)
    except LimitError as error:
        raise RunError(f"{path} is damaged ({error}); {_MEND}") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); {_MEND}") from None


def read_runs(paths: Sequence[str | Path]) -> list[RunData]:
    """Read several run folders, each once.

    Raises:
        RunError: as `read_run`; or none is given.
    """
    if not paths:
        raise RunError("give at least one run folder")
    return [read_run(path) for path in dict.fromkeys(Path(path) for path in paths)]
