import pytest

from rlcompress.searches import SearchSettings


def test_candidates_may_lose_more_where_learned_rounding_follows() -> None:
    assert SearchSettings.of({"max_drop": 1.0, "goals": (0.5,)}).candidate_goals == (1.0, 0.5)
    learned = SearchSettings.of({"max_drop": 1.0, "goals": (0.5,), "repair": "t2"})
    assert learned.candidate_goals == pytest.approx((1.9, 0.95, 1.0, 0.5))
    assert learned.all_goals == (1.0, 0.5)
