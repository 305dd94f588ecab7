import numpy as np
import pytest

from rlcompress.envs import Problem
from rlcompress.searches.methods.plans import asked


@pytest.fixture
def measured(problem: Problem) -> Problem:
    problem.plan(1.0)
    return problem


def test_every_third_turn_goes_by_the_mean_for_drops_spread_around_the_goal(
    measured: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, surrogate = np.random.default_rng(0), measured.surrogate
    monkeypatch.setattr(surrogate, "error_at", lambda drop: drop)
    path = measured.planner.path[10]
    turns = [asked(surrogate, 1.0, turn, generator) for turn in range(0, 60, 3)]
    assert all(error(path)[0] == surrogate.error(path)[0] for error, _ in turns)
    drops = np.array([drop for _, drop in turns])
    assert drops[0] == np.exp(-0.4)
    assert 1.3 < drops.max() <= np.exp(0.4)
    assert drops.min() >= np.exp(-0.4)
    assert len(np.unique(drops)) == len(drops)


def test_the_next_goes_by_drawn_parameters_for_the_goal_itself(measured: Problem) -> None:
    generator, surrogate = np.random.default_rng(0), measured.surrogate
    path = measured.planner.path[10]
    turns = [asked(surrogate, 1.0, turn, generator) for turn in range(1, 16, 3)]
    assert {limit for _, limit in turns} == {surrogate.error_at(1.0)}
    assert len({float(error(path)[0]) for error, _ in turns}) == 5
