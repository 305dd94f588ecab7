import subprocess
import sys
from pathlib import Path

import pytest

from rlcompress.errors import RunError
from rlcompress.memory import MemoryNeed, MemoryShares, parse_bytes, split_memory

NEED = MemoryNeed(shared=1_000_000_000, process=500_000_000, piece=50_000_000)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4G", 4 * 10**9), ("600M", 6 * 10**8), ("1.5GB", 15 * 10**8), (" 2t ", 2 * 10**12), ("12345", 12345)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-4G", "4X", "0", "0.0000001K", "4 GiB", "1e9", "9" * 400, 4])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(RunError, match="memory must be a size like 4G or 600M, got"):
        parse_bytes(text)


def test_the_shares_stay_within_the_budget_in_both_phases() -> None:
    for total, processes in ((2 * 10**9, 1), (6 * 10**9, 1), (6 * 10**9, 3)):
        shares = split_memory(total, NEED, processes, "a network")
        left = total - NEED.shared - processes * NEED.process
        assert processes * (shares.bank + shares.sensitivity) <= left
        assert processes * (shares.bank + shares.finals + shares.replay) <= left
        assert min(shares.bank, shares.finals, shares.sensitivity) >= NEED.piece


def test_the_least_budget_is_enough_and_anything_less_is_refused() -> None:
    for processes in (1, 3):
        least = NEED.least(processes)
        assert isinstance(split_memory(least, NEED, processes, "a network"), MemoryShares)
        with pytest.raises(RunError, match=r"^memory [\d.]+[GM] is too small for a network; give at least [\d.]+[GM]$"):
            split_memory(least - processes, NEED, processes, "a network")


def test_the_budget_that_a_refusal_names_is_accepted() -> None:
    need = MemoryNeed(shared=1_234_567_891, process=77_777_777, piece=1_000_001)
    with pytest.raises(RunError) as refusal:
        split_memory(10**9, need, 1, "a network")
    named = str(refusal.value).rsplit(" ", 1)[1]
    assert split_memory(parse_bytes(named), need, 1, "a network").bank > 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_freed_memory_goes_back_although_something_beside_it_stays() -> None:
    code = "; ".join(
        (
            "import gc, torch",
            "from pathlib import Path",
            "from rlcompress.memory import return_freed_memory",
            "rss = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * 4096",
            "before = rss()",
            "kept = [(torch.zeros(10**6), torch.zeros(100))[1] for _ in range(100)]",
            "pairs = [(torch.zeros(10**6), torch.zeros(100)) for _ in range(100)]",
            "kept += [small for _, small in pairs]",
            "del pairs",
            "return_freed_memory()",
            "print(rss() - before)",
        )
    )
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 40_000_000
