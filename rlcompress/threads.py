"""One thread for evaluations."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and NumPy's linear algebra compute in one thread, as a context or a decorator.

    Results then do not depend on the number of cores, and the many small operations of an evaluation do not wait for
    threads that other work has pushed off their cores (measured: 35 times slower with two threads on two busy cores).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
