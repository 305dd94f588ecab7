"""Processes that share work, with tensors in one file that all of them map."""

from rlcompress.workers.mapped import check_can_go
from rlcompress.workers.pool import WorkerPool

__all__ = ["WorkerPool", "check_can_go"]
