"""A memory budget: what a user writes, and how the bytes are shared out."""

import ctypes
import re
import sys
from dataclasses import dataclass

from rlcompress.errors import RunError

FLOAT_BYTES = 4
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)B?", re.IGNORECASE)
_MOST_IMAGES, _MOST_VALUES = 128, 64 * 3 * 56 * 56  # of a batch of floats, as caches want it
_MOST_IMAGES_OF_BYTES = 256  # beyond which nothing gets faster
_LEAST_SHARE = 1 / 4  # of what is left for the bank to hold a policy, the finals a network, the planner an image


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What a search takes however little it is allowed, in bytes.

    Attributes:
        shared: once for all processes: images and statistics.
        process: in each process: program, networks and activations while they are computed.
        piece: the largest thing that a share has to hold: one policy's codes, one network, one image's activations.
    """

    shared: int
    process: int
    piece: int

    def least(self, processes: int) -> int:
        """Bytes of the smallest budget that can be kept."""
        return self.shared + processes * (self.process + round(self.piece / _LEAST_SHARE))


@dataclass(frozen=True, slots=True)
class MemoryShares:
    """Bounds in bytes that a search keeps, each process its own.

    Attributes:
        bank: compressed layers that are kept; the same with their moments corrected take a quarter as much beside them.
        finals: finished networks that are kept.
        sensitivity: stored tensors that the sensitivity table is measured from, before there are finals.
        replay: transitions of a learning agent.
    """

    bank: int = 400_000_000
    finals: int = 200_000_000
    sensitivity: int = 200_000_000
    replay: int = 200_000_000


def parse_bytes(text: str) -> int:
    """Bytes of a size such as ``4G``, ``600M`` or ``1.5GB``: decimal units, upper or lower case.

    Raises:
        RunError: it is no size, or 0.
    """
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    size = round(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise RunError(f"memory must be a size like 4G or 600M, got {text!r}")
    return size


def split_memory(total: int, need: MemoryNeed, processes: int, subject: str) -> MemoryShares:
    """Share a budget out.

    The sensitivity table is measured while the bank fills and before anything is finished.

    Args:
        total: bytes that all processes may take together.
        need: what they take in any case.
        processes: how many.
        subject: what is searched, for the message.

    Raises:
        RunError: the budget is too small; the message says what would do.
    """
    left = (total - need.shared) // processes - need.process
    if left * _LEAST_SHARE < need.piece:
        raise RunError(
            f"memory {_short(total)} is too small for {subject}; give at least {_short(need.least(processes), up=True)}"
        )
    return MemoryShares(bank=left // 2, finals=left // 4, sensitivity=left // 2, replay=left // 8)


def return_freed_memory() -> None:
    """Give what is free back to the system; without effect where there is no glibc.

    Its allocator otherwise keeps what was freed between things that stay: 1.3 GB of ResNet-50's codes took 3.1 GB. Were
    every tensor given back as soon as it is freed, candidates would take twice the time.
    """
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:
            malloc_trim(0)


def _short(size: int, *, up: bool = False) -> str:
    """A size as it can be given, to two digits after the point of a giga- or to a whole megabyte."""
    step = 10**7 if size >= 10**9 else 10**6
    steps = -(-size // step) if up else size // step
    return f"{steps * step / 10**9:g}G" if size >= 10**9 else f"{steps}M"


def images_at_once(values: int, size: int = FLOAT_BYTES) -> int:
    """How many images of so many values each are computed together, in numbers of so many bytes.

    Those of smaller numbers are a multiple of those of larger ones.

    >>> images_at_once(3 * 32 * 32), images_at_once(3 * 224 * 224)
    (128, 4)
    >>> images_at_once(3 * 32 * 32, size=1), images_at_once(3 * 224 * 224, size=1)
    (256, 16)
    """
    floats = max(1, min(_MOST_IMAGES, _MOST_VALUES // values))
    return floats * min(FLOAT_BYTES // size, _MOST_IMAGES_OF_BYTES // floats)
