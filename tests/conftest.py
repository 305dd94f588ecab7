from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("rlcompress", deadline=None)  # the first example of a property pays for imports and caches
settings.load_profile("rlcompress")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other are many times slower when other work shares the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
