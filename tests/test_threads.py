import numpy as np  # loads its linear algebra
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from rlcompress.threads import one_thread


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_torch_and_blas_compute_in_one_thread_and_then_in_as_many_as_before():
    assert np.linalg.inv(np.eye(2)).sum() == 2.0
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threadpool_limits(2, user_api="blas"):
            before = blas_threads()
            with one_thread():
                assert (torch.get_num_threads(), blas_threads()) == (1, {1})
            assert (torch.get_num_threads(), blas_threads()) == (2, before)
    finally:
        torch.set_num_threads(threads)
