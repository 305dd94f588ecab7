import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rlcompress.errors import DataError, WorkerError
from rlcompress.workers import WorkerPool
from tests.workers.functions import Task, Unreadable

_ROOT = Path(__file__).parents[2]
Pool = WorkerPool[tuple[str, int], tuple[int, float]]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("pool")
    with WorkerPool(Task(torch.ones(10), folder), 2, patience_s=20.0, folder=folder) as two:
        yield two


def sums(pool: Pool, items: list[tuple[str, int]]) -> list[float]:
    return [value for _, value in pool.map(items)]


def test_answers_come_in_order_from_several_processes(pool: Pool) -> None:
    items = [("slow" if i % 3 == 0 else "", i) for i in range(8)]
    answers = list(pool.map(items))
    assert [value for _, value in answers] == [10.0 + i for i in range(8)]
    assert len({process for process, _ in answers} - {os.getpid()}) == 2


def test_nothing_to_do(pool: Pool) -> None:
    assert list(pool.map([])) == []


def test_a_dead_workers_item_is_done_again(pool: Pool) -> None:
    assert sums(pool, [("", 0), ("die once", 1), ("", 2)]) == [10.0, 11.0, 12.0]


def test_an_item_that_kills_twice_is_named(pool: Pool) -> None:
    message = r"2 workers died \(exit code -9\) over item 2 of 3, \('die', 7\); look for want of memory"
    with pytest.raises(WorkerError, match=message):
        sums(pool, [("", 0), ("die", 7), ("", 2)])
    assert sums(pool, [("", 3)]) == [13.0]


def test_errors_are_raised_here(pool: Pool) -> None:
    with pytest.raises(DataError, match="number 5 is odd"):
        sums(pool, [("", 4), ("fail", 5), ("", 6)])
    assert sums(pool, [("", 3)]) == [13.0]


@pytest.mark.parametrize(("trick", "message"), [("two", "^5 apples$"), ("lambda", "<function")])
def test_errors_that_do_not_survive_the_way_are_told(pool: Pool, trick: str, message: str) -> None:
    with pytest.raises(WorkerError, match=message):
        sums(pool, [("", 4), (trick, 5)])
    assert sums(pool, [("", 3)]) == [13.0]


def test_what_a_worker_cannot_read_is_said(tmp_path: Path) -> None:
    message = r"a worker cannot read what it is handed \(No module named 'mine'\); use one worker"
    two = WorkerPool(Unreadable(torch.ones(1), tmp_path), 2, folder=tmp_path)
    with two, pytest.raises(WorkerError, match=message):
        sums(two, [("", 1), ("", 2)])


def test_stopping_early_leaves_the_pool_usable(pool: Pool) -> None:
    answers = pool.map([("", i) for i in range(20)])
    assert next(answers)[1] == 10.0
    answers.close()
    assert sums(pool, [("", 5), ("", 6)]) == [15.0, 16.0]


@pytest.mark.slow
def test_a_hung_workers_item_is_done_again(tmp_path: Path) -> None:
    with WorkerPool(Task(torch.ones(10), tmp_path), 1, patience_s=15.0) as one:
        assert sums(one, [("", 0), ("hang once", 1)]) == [10.0, 11.0]


def test_no_worker_at_all_is_refused() -> None:
    with pytest.raises(WorkerError, match="workers must be at least 1, got 0"):
        WorkerPool(abs, 0)


_SCRIPT = """
import signal
import sys
from pathlib import Path
import torch
from rlcompress.workers import WorkerPool
from tests.workers.functions import Task
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells turn it off for what runs in the background
    folder = Path(sys.argv[1])
    pool = WorkerPool(Task(torch.ones(4), folder), 2, folder=folder)
    for process, _ in pool.map([("slow", i) for i in range(1000)]):
        print(process, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_no_orphans_are_left(end: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(_SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True
    ) as script:
        assert script.stdout is not None
        workers = {int(script.stdout.readline()) for _ in range(20)}
        os.killpg(script.pid, end) if end == signal.SIGINT else script.kill()
        script.communicate(timeout=60)
    assert len(workers) == 2
    deadline = time.monotonic() + 30.0
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    left = list(tmp_path.glob("rlcompress-workers-*"))
    assert not left or end == signal.SIGKILL
