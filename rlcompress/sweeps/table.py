"""The one table at a sweep's end."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rlcompress.errors import first_problem
from rlcompress.files import LimitError, parse_json, read_text, reason
from rlcompress.sweeps.job import FAILED, RUN, is_done
from rlcompress.sweeps.plan import Job

_MAX_FILE_BYTES = 1_000_000


class _Best(BaseModel):
    model_config = ConfigDict(extra="ignore")

    energy_uj: float
    latency_ms: float
    energy_saved_pct: float
    drop_search: float
    drop_test: float


class _Result(BaseModel):
    model_config = ConfigDict(extra="ignore")

    evaluations: int
    seconds: float
    best: _Best
    best_by_goal: dict[str, Any] = {}
    missed: str | None = None


class Row(BaseModel):
    """A search of a sweep and what it found; figures are None where ``error`` says why.

    Energies are in microjoules, latencies in milliseconds, drops in the metric's unit.
    """

    id: str
    network: str
    hardware: str
    agent: str
    seed: int
    max_drop: float
    budget: int
    evaluations: int | None = None
    seconds: float | None = None
    energy_uj: float | None = None
    latency_ms: float | None = None
    energy_saved_pct: float | None = None
    drop_search: float | None = None
    drop_test: float | None = None
    error: str = ""


def row_of(job: Job, folder: Path) -> Row:
    """The row of a job, from its folder."""
    head: dict[str, Any] = {
        "id": job.id,
        "network": job.subject.network,
        "hardware": job.hardware,
        "budget": job.evaluations,
        **{name: getattr(job, name) for name in ("agent", "seed", "max_drop")},
    }
    try:
        if (folder / FAILED).exists() and not is_done(folder):
            said = parse_json(read_text(folder / FAILED, _MAX_FILE_BYTES))
            return Row(**head, error=str(said.get("error")) if isinstance(said, dict) else "failed")
        result = _Result.model_validate(parse_json(read_text(folder / RUN / "result.json", _MAX_FILE_BYTES)))
    except FileNotFoundError:
        return Row(**head, error="not finished")
    except (OSError, LimitError) as error:
        return Row(**head, error=f"result.json: {reason(error)}")
    except ValidationError as error:
        return Row(**head, error=f"result.json: {first_problem(error)}")
    if result.missed and f"{job.max_drop:g}" not in result.best_by_goal:
        return Row(**head, error=result.missed)
    found = {"evaluations": result.evaluations, "seconds": result.seconds, **result.best.model_dump()}
    return Row(**head, **found)


def to_csv(rows: Sequence[Row]) -> str:
    """The rows as comma-separated values with a head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in rows)
    return text.getvalue()
