"""Running the jobs of a sweep: here one after the other, or on Ray."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rlcompress.errors import RunError
from rlcompress.files import reason, write_atomic
from rlcompress.hw_models import load as load_hardware
from rlcompress.searches import SearchSettings
from rlcompress.searches.folder import open_folder
from rlcompress.searches.methods import check_method
from rlcompress.sweeps.cluster import Cluster
from rlcompress.sweeps.job import is_done, run_job
from rlcompress.sweeps.plan import Job, Sweep
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
        RunError: a setting or an agent is unknown, the folder holds something else or cannot be written, or Ray
            cannot be used.
        HardwareError: a description is unknown or not valid.
    """
    _check(sweep)
    asked = json.loads(json.dumps(sweep.model_dump(mode="json")))
    folder = open_folder(Path(out), "sweep.json", asked, resume=resume)
    folders = {job.id: (folder / job.id).absolute() for job in sweep.jobs}
    rows = {job.id: row_of(job, folders[job.id]) for job in sweep.jobs if is_done(folders[job.id])}
    left = [job for job in sweep.jobs if job.id not in rows]
    for job in _here(left, folders) if cluster is None else cluster.run(left, folders):
        rows[job.id] = row_of(job, folders[job.id])
        if on_row is not None:
            on_row(rows[job.id], len(rows), len(folders))
    ordered = [rows[job.id] for job in sweep.jobs]
    try:
        write_atomic(folder / "table.csv", to_csv(ordered))
    except OSError as error:
        raise RunError(f"cannot write to {folder} ({reason(error)}); make room and go on by --resume") from None
    return ordered


def _check(sweep: Sweep) -> None:
    """Refuse before the first search what would fail in the last."""
    for hardware in sweep.hardware:
        load_hardware(hardware)
    for agent in sweep.agents:
        check_method(agent)
    try:
        SearchSettings.of(sweep.jobs[0].search_settings)
    except TypeError as error:
        raise RunError(f"settings: a value is of the wrong kind ({error})") from None


def _here(jobs: Sequence[Job], folders: dict[str, Path]) -> Iterator[Job]:
    for job in jobs:
        run_job(job, folders[job.id])
        yield job
