import pickle

from rlcompress.candidates.memo import Memo


class Counter:
    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []
        self.memo = Memo(self.add, 7, int)

    def add(self, a: int, b: int) -> int:
        self.calls.append((a, b))
        return a + b


def test_the_least_recently_asked_is_forgotten() -> None:
    counter = Counter()
    assert [counter.memo(1, b) for b in (1, 2, 1, 3, 1, 2)] == [2, 3, 2, 4, 2, 3]
    assert counter.calls == [(1, 1), (1, 2), (1, 3), (1, 2)]  # 2 + 3 + 4 bytes are too many, and so are 2 + 4 + 3


def test_the_last_result_is_kept_whatever_its_size() -> None:
    counter = Counter()
    assert [counter.memo(a, b) for a, b in ((1, 1), (50, 50), (50, 50), (1, 1))] == [2, 100, 100, 2]
    assert counter.calls == [(1, 1), (50, 50), (1, 1)]


def test_without_a_bound_nothing_is_forgotten() -> None:
    counter = Counter()
    counter.memo = Memo(counter.add)
    assert [counter.memo(1, b) for b in (8, 9, 8)] == [9, 10, 9]
    assert counter.calls == [(1, 8), (1, 9)]


def test_what_is_known_goes_along() -> None:
    counter = Counter()
    counter.memo(1, 1)
    copy = pickle.loads(pickle.dumps(counter))
    assert copy.memo(1, 1) == 2
    assert copy.calls == [(1, 1)]
