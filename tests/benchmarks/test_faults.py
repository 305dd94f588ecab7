import sys
import time

import pytest

from benchmarks.faults import forked, measure


def test_a_child_is_told_from_a_killed_one_and_a_failed_one() -> None:
    assert forked(lambda: None)
    assert forked(lambda: None, kill_after=60.0)
    assert not forked(lambda: time.sleep(60), kill_after=0.01)
    with pytest.raises(RuntimeError, match="ended with status"):
        forked(lambda: sys.exit(3))


@pytest.mark.slow
def test_kills_cost_at_most_an_evaluation_each() -> None:
    tally = measure(kills=3, evaluations=6, seed=0, agent="random")
    assert tally.kills == 3
    assert tally.different == 0
    assert tally.most_by_one_kill <= 1
    assert tally.repeated <= tally.kills
