from itertools import islice

import numpy as np
import pytest

from rlcompress.envs import Problem, policy_id
from rlcompress.planning.batches import joined
from rlcompress.searches.methods.plans import asked
from rlcompress.searches.methods.uniform import every_setting, proposals
from rlcompress.searches.settings import SearchSettings
from rlcompress.spec import ChoiceBatch

_SETTINGS = SearchSettings(agent="uniform", max_drop=1.0)


@pytest.fixture
def proposed(problem: Problem) -> list[ChoiceBatch]:
    return list(islice(proposals(problem, _SETTINGS), 12))


def test_inner_layers_have_equal_choices_and_dense_ends_have_8_bits_or_little_more(problem: Problem) -> None:
    space, every = problem.space, every_setting(problem.space)
    inner = np.setdiff1d(np.arange(len(space.layers)), space.ends)
    weights, activations = every.weight_bits, every.activation_bits[:, space.reader]
    for bits in (weights, activations):
        assert (bits[:, inner] == bits[:, inner[:1]]).all()
    wide = (weights[:, space.ends] == 8).all(1) & (activations[:, space.ends] == 8).all(1)
    little = (weights[:, space.ends] == weights[:, inner[:1]].clip(4)).all(1)
    more = [(activations[:, space.ends] == (activations[:, inner[:1]] + bits).clip(4, 8)).all(1) for bits in (2, 3)]
    assert (wide | little & (more[0] | more[1])).all()
    assert (every.keep_ratio[:, space.ends] == 1.0).all()
    assert len({policy_id(every.rows(slice(i, i + 1))) for i in range(len(wide))}) == len(wide)
    assert {(w, a) for w, a in zip(weights[:, inner[0]], activations[:, inner[0]], strict=True)} == {
        (w, a) for w in range(2, 9) for a in range(2, 9)
    }


def test_the_first_is_the_cheapest_that_the_surrogate_allows(problem: Problem, proposed: list[ChoiceBatch]) -> None:
    every = every_setting(problem.space)
    error, limit = asked(problem.surrogate, _SETTINGS.candidate_goals[0], 0, np.random.default_rng(0))
    costs, within = problem.log_cost(every), error(every) <= limit
    assert 0 < within.sum() < len(within)
    assert float(problem.log_cost(proposed[0])[0]) == costs[within].min()
    assert error(proposed[0])[0] <= limit


def test_none_is_proposed_twice(proposed: list[ChoiceBatch]) -> None:
    assert len({policy_id(policy) for policy in proposed}) == len(proposed) == 12


def test_measurements_change_what_is_proposed(problem: Problem, proposed: list[ChoiceBatch]) -> None:
    outcomes = []
    for policy in islice(proposals(problem, _SETTINGS), 12):
        outcomes.append(problem.evaluate(policy, "uniform"))
    again = joined([outcome.choices for outcome in outcomes])
    assert [policy_id(of) for of in proposed] != [policy_id(again.rows(slice(i, i + 1))) for i in range(12)]


def test_where_nothing_is_allowed_the_mildest_come_first(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem.surrogate, "error_at", lambda _: 0.0)
    every = every_setting(problem.space)
    first = next(proposals(problem, _SETTINGS))
    assert float(problem.surrogate.error(first)[0]) == problem.surrogate.error(every).min()
    assert len(list(proposals(problem, _SETTINGS))) == len(every.granularity), "and all are proposed in the end"
