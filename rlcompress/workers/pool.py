"""`WorkerPool`: one function in several processes, with answers in the order of the questions."""

import math
import multiprocessing
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from rlcompress.errors import WorkerError
from rlcompress.plugins import reason_of
from rlcompress.workers.mapped import from_bytes, read_mapped, to_bytes, write_mapped

Item = TypeVar("Item")
Result = TypeVar("Result")

_ATTEMPTS = 2
_CLOSING_S = 2.0


@dataclass(eq=False)
class _Worker:
    """A process, the pipe to it, and the position of the item that it works on since when."""

    process: SpawnProcess
    pipe: Connection
    position: int | None = None
    since: float = field(default_factory=time.monotonic)


class WorkerPool(Generic[Item, Result]):
    """Processes of one thread each that all hold one function; started when they are first asked.

    They are started anew (``spawn``), so that a script that uses them keeps its own work behind
    ``if __name__ == "__main__"``. They ignore Ctrl-C and end with this process, whichever way that ends.

    Args:
        function: of one item; it is pickled, its tensors lie in a file that all processes map.
        workers: how many processes.
        patience_s: a worker that takes longer for an item counts as hung; `math.inf` for never.
        folder: where the file is made; the system's temporary folder by default.

    Raises:
        WorkerError: there is less than one worker.
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        workers: int,
        *,
        patience_s: float = 600.0,
        folder: Path | None = None,
    ) -> None:
        if workers < 1:
            raise WorkerError(f"workers must be at least 1, got {workers}")
        self._function, self._count, self._patience_s, self._parent = function, workers, patience_s, folder
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def map(self, items: Sequence[Item]) -> Generator[Result, None, None]:
        """The function's results, in the order of the items, each as soon as it and those before it are there.

        An item whose worker dies or hangs is given to another one once. Closing the generator stops the work.

        Raises:
            WorkerError: two workers died or hung over one item; the message names it.
            Exception: what the function raises.
        """
        waiting, attempts = deque(range(len(items))), [0] * len(items)
        done: dict[int, Any] = {}
        try:
            for position in range(len(items)):
                while position not in done:
                    self._hand_out(items, waiting, attempts)
                    for worker in self._ready():
                        self._take(worker, items, waiting, attempts, done)
                succeeded, value = done.pop(position)
                if not succeeded:
                    raise value
                yield value
        finally:
            self._stop([worker for worker in self._workers if worker.position is not None])

    def close(self) -> None:
        """End the processes and remove the file."""
        self._stop(list(self._workers))
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _hand_out(self, items: Sequence[Item], waiting: deque[int], attempts: list[int]) -> None:
        """Give every idle worker an item, starting workers while there are too few."""
        idle = [worker for worker in self._workers if worker.position is None]
        while waiting and (idle or len(self._workers) < self._count):
            worker = idle.pop() if idle else self._start()
            worker.position, worker.since = waiting.popleft(), time.monotonic()
            attempts[worker.position] += 1
            try:
                worker.pipe.send(items[worker.position])
            except (BrokenPipeError, ConnectionResetError):
                continue  # it has died; its silence is noticed at once

    def _ready(self) -> list[_Worker]:
        """Workers that have answered or died, or else have hung."""
        busy = [worker for worker in self._workers if worker.position is not None]
        left = min(worker.since for worker in busy) + self._patience_s - time.monotonic()
        heard = wait([worker.pipe for worker in busy], timeout=max(0.0, left) if math.isfinite(left) else None)
        late = time.monotonic() - self._patience_s
        return [w for w in busy if w.pipe in heard] or [w for w in busy if w.since <= late]

    def _take(
        self, worker: _Worker, items: Sequence[Item], waiting: deque[int], attempts: list[int], done: dict[int, Any]
    ) -> None:
        """Keep a worker's answer; or end the worker and put its item back in front."""
        position = worker.position
        assert position is not None
        try:
            if not worker.pipe.poll():
                raise TimeoutError
            done[position] = from_bytes(worker.pipe.recv_bytes())
            worker.position = None
        except (EOFError, OSError) as problem:
            self._stop([worker])
            if attempts[position] >= _ATTEMPTS:
                how = "hung" if isinstance(problem, TimeoutError) else f"died (exit code {worker.process.exitcode})"
                raise WorkerError(
                    f"{_ATTEMPTS} workers {how} over item {position + 1} of {len(items)}, {_short(items[position])}; "
                    "look for want of memory, or use fewer workers"
                ) from None
            waiting.appendleft(position)

    def _start(self) -> _Worker:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="rlcompress-workers-", dir=self._parent)
            write_mapped(self._function, Path(self._folder.name))
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._folder.name), daemon=True)
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

    def _stop(self, workers: Sequence[_Worker]) -> None:
        for worker in workers:
            worker.pipe.close()
            if worker.position is not None:
                worker.process.kill()
        for worker in workers:
            worker.process.join(_CLOSING_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            self._workers.remove(worker)


def _work(pipe: Connection, folder: str) -> None:
    """What a worker does: answer items until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from rlcompress.threads import one_thread

    with one_thread():
        _answer(pipe, folder)


def _answer(pipe: Connection, folder: str) -> None:
    try:
        function = read_mapped(Path(folder))
    except Exception as error:  # the user's own modules may fail here
        function = partial(_fail, reason_of(error))
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[bool, Any] = True, function(item)
        except Exception as error:  # the asking process raises it
            answer = False, _portable(error)
        try:
            pipe.send_bytes(to_bytes(answer))
        except (BrokenPipeError, ConnectionResetError):
            return


def _portable(error: Exception) -> Exception:
    """An exception, or what it says where it does not survive the way to another process."""
    try:
        from_bytes(to_bytes(error))
    except Exception:
        return WorkerError(reason_of(error))
    return error


def _fail(reason: str, _item: object) -> None:
    raise WorkerError(f"a worker cannot read what it is handed ({reason}); use one worker")


def _short(item: object) -> str:
    text = " ".join(repr(item).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
