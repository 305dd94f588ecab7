"""Sweeps: many searches from one file, one after the other or on a Ray cluster, and one table of them all."""

from rlcompress.sweeps.plan import Job, Sweep, read_sweep
from rlcompress.sweeps.run import run_sweep
from rlcompress.sweeps.table import Row, to_csv

__all__ = ["Job", "Row", "Sweep", "read_sweep", "run_sweep", "to_csv"]
