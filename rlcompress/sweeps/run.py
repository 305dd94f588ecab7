"""Running the jobs of a sweep: here one after the other, or on Ray."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rlcompress.errors import RunError
from rlcompress.files import reason, write_atomic
from rlcompress.hw_models import load as load_hardware
from rlcompress.searches import SearchSettings
from rlcompress.searches.folder import open_folder
from rlcompress.searches.methods import check_agent_settings, check_method
from rlcompress.sweeps.cluster import Cluster
from rlcompress.sweeps.job import is_done, run_job
from rlcompress.sweeps.plan import Job, Sweep, check_weights
from rlcompress.sweeps.table import Row, row_of, to_csv

OnRow = Callable[[Row, int, int], None]
"""(row, rows known, rows in all) -> nothing."""


def run_sweep(
    sweep: Sweep, out: str | Path, *, resume: bool = False, cluster: Cluster | None = None, on_row: OnRow | None = None
) -> list[Row]:
    """Run every search of a sweep that is not finished yet.

    Each has a folder of its own below ``out`` with a run folder in it, from which it resumes; a search that fails is a
    row that says why, and is tried again when the sweep is resumed.

    Args:
        sweep: what to search.
        out: a new folder, or the sweep's own to resume.
        resume: whether to go on with the sweep that the folder holds.
        cluster: where Ray runs; None for this process.
        on_row: called as soon as a search has ended.

    Returns:
        One row a search, in the sweep's order; table.csv holds them too.

    Raises:
        RunError: a setting or an agent is unknown, weights are no file, the folder holds something else or cannot be
            written, or Ray cannot be used.
        HardwareError: a description is unknown or not valid.
    """
    check_jobs(sweep.jobs)
    asked = json.loads(json.dumps(sweep.model_dump(mode="json")))
    folder = open_folder(Path(out), "sweep.json", asked, resume=resume)
    rows = run_jobs(sweep.jobs, folder, cluster=cluster, on_row=on_row)
    try:
        write_atomic(folder / "table.csv", to_csv(rows))
    except OSError as error:
        raise RunError(f"cannot write to {folder} ({reason(error)}); make room and go on by --resume") from None
    return rows


def run_jobs(
    jobs: Sequence[Job], out: str | Path, *, cluster: Cluster | None = None, on_row: OnRow | None = None
) -> list[Row]:
    """Run every job that is not finished yet, in their order, each in the folder below ``out`` that its id names.

    Args:
        jobs: of one sweep, or of several that share a folder.
        out: the folder.
        cluster: where Ray runs; None for this process.
        on_row: called as soon as a search has ended.

    Returns:
        One row a job, in their order.

    Raises:
        RunError: Ray cannot be used.
    """
    folders = {job.id: (Path(out) / job.id).absolute() for job in jobs}
    rows = {job.id: row_of(job, folders[job.id]) for job in jobs if is_done(folders[job.id])}
    left = [job for job in jobs if job.id not in rows]
    for job in _here(left, folders) if cluster is None else cluster.run(left, folders):
        rows[job.id] = row_of(job, folders[job.id])
        if on_row is not None:
            on_row(rows[job.id], len(rows), len(folders))
    return [rows[job.id] for job in jobs]


def check_jobs(jobs: Sequence[Job]) -> None:
    """Refuse before the first search what would fail in the last.

    Raises:
        RunError: a setting or an agent is unknown or a value is not valid, or weights are no file.
        AgentError: a setting of an agent is not valid.
        HardwareError: a description is unknown or not valid.
    """
    for subject in dict.fromkeys(job.subject for job in jobs):
        check_weights(subject)
    for hardware in dict.fromkeys(job.hardware for job in jobs):
        load_hardware(hardware)
    for job in jobs:
        check_method(job.agent)
        check_agent_settings(SearchSettings.of(job.search_settings))


def _here(jobs: Sequence[Job], folders: dict[str, Path]) -> Iterator[Job]:
    for job in jobs:
        run_job(job, folders[job.id])
        yield job
