"""Sweeps: many searches from one file, one after the other or on a Ray cluster, and one table of them all."""

from rlcompress.sweeps.plan import Job, Subject, Sweep, read_sweep
from rlcompress.sweeps.run import check_jobs, run_jobs, run_sweep
from rlcompress.sweeps.table import Row, to_csv

__all__ = ["Job", "Row", "Subject", "Sweep", "check_jobs", "read_sweep", "run_jobs", "run_sweep", "to_csv"]
