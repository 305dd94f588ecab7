import pytest

from rlcompress.errors import RunError
from rlcompress.searches import SearchSettings


@pytest.mark.parametrize(
    ("repair", "shares"),
    [("none", (1.0,)), ("t1", (0.8, 0.7, 0.9)), ("t2", (0.45, 0.36, 0.55, 0.7)), ("t2:9", (0.45, 0.36, 0.55, 0.7))],
)
def test_candidates_may_lose_more_where_final_networks_lose_less(repair: str, shares: tuple[float, ...]) -> None:
    learned = SearchSettings.of({"max_drop": 1.0, "goals": (0.5,), "repair": repair})
    assert learned.candidate_goals == pytest.approx([goal / share for share in shares for goal in (1.0, 0.5)])
    assert learned.all_goals == (1.0, 0.5)


def test_no_granularity_is_refused() -> None:
    with pytest.raises(RunError, match="no granularity is given; choose from none, element"):
        SearchSettings.of({"granularities": ()})
