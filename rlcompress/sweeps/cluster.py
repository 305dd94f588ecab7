"""Ray, for sweeps that outgrow one process: workers on this machine, or a cluster by its address.

A worker that dies is replaced, and its search goes on from its run folder, so the folder must be one that every
machine of the cluster sees. Ray's own scheduler, retries and cluster are used as they are (Moritz et al., OSDI 2018).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlcompress.errors import RunError, one_line
from rlcompress.sweeps.job import note_failure, run_job
from rlcompress.sweeps.plan import Job

_RETRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where Ray runs.

    Attributes:
        address: of a running cluster (``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``); None to start Ray here.
        workers: searches at a time, if Ray is started here.
    """

    address: str | None = None
    workers: int = 1

    def run(self, jobs: Sequence[Job], folders: Mapping[str, Path]) -> Iterator[Job]:
        """Run jobs and give each as soon as it has ended, whether it succeeded or not.

        Raises:
            RunError: Ray is not installed, or there is no cluster at the address.
        """
        ray = _ray()
        self._start(ray)
        try:
            task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_work)
            here = os.getcwd()
            waiting = {task.remote(job, folders[job.id], here): job for job in jobs}
            while waiting:
                (done,), _ = ray.wait(list(waiting), num_returns=1)
                job = waiting.pop(done)
                _collect(ray, done, folders[job.id])
                yield job
        finally:
            ray.shutdown()

    def _start(self, ray: Any) -> None:
        options: dict[str, Any] = {"num_cpus": self.workers, "include_dashboard": False}
        if self.address is not None:
            options = {"address": self.address}
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **options)
        except Exception as error:  # Ray raises of many kinds
            where = self.address or "this machine"
            raise RunError(
                f"Ray cannot be reached on {where} ({one_line(str(error))[:200]}); check --address"
            ) from None


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise RunError("Ray is not installed; install it, or the extra 'ray', or leave --ray out") from None
    return ray


def _work(job: Job, folder: Path, here: str) -> None:
    """What a worker does."""
    if os.path.isdir(here):
        os.chdir(here)
    run_job(job, folder)


def _collect(ray: Any, done: Any, folder: Path) -> None:
    try:
        ray.get(done)
    except ray.exceptions.RayError as error:
        note_failure(folder, f"its worker died {_RETRIES + 1} times ({type(error).__name__}); resume to try again")
