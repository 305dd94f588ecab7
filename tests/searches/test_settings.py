import pytest

from rlcompress.searches import SearchSettings


@pytest.mark.parametrize(
    ("repair", "goals"),
    [("none", (1.0, 0.5)), ("t1", (1.25, 0.625, 1.0, 0.5)), ("t2", (1 / 0.45, 0.5 / 0.45, 1 / 0.7, 0.5 / 0.7))],
)
def test_candidates_may_lose_more_where_final_networks_lose_less(repair: str, goals: tuple[float, ...]) -> None:
    learned = SearchSettings.of({"max_drop": 1.0, "goals": (0.5,), "repair": repair})
    assert learned.candidate_goals == pytest.approx(goals)
    assert learned.all_goals == (1.0, 0.5)
