"""Equal choices in every layer."""

from collections.abc import Iterator
from itertools import count, product

import numpy as np

from rlcompress.envs import Problem, policy_id
from rlcompress.planning import ChoiceSpace
from rlcompress.planning.batches import joined, row
from rlcompress.searches.methods.base import propose_all
from rlcompress.searches.methods.plans import asked
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch
from rlcompress.spec import GRANULARITIES, ChoiceBatch

_NONE = GRANULARITIES.index("none")
_END_BITS = 8  # of the first and the last layer, as in published tables
_MORE_BITS = (2, 3)  # of what the ends read, where that is not 8


def uniform(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Policies with one pruning and equal bits in every layer but the ends.

    The first and the last layer are not pruned, nor what is coupled to them; they have 8 bits, or the same weight bits
    as the others and two or three activation bits more. Next is always the cheapest of those left that the surrogate,
    which every evaluation corrects, allows for a drop around the allowed one, as in `tsdp`.
    """
    propose_all(problem, proposals(problem, settings), "uniform")


def proposals(problem: Problem, settings: SearchSettings) -> Iterator[ChoiceBatch]:
    """Every setting once; where none that is left is allowed, next is that of the least error."""
    every = every_setting(problem.space)
    cost, left = problem.log_cost(every), np.ones(len(every.granularity), bool)
    generator = np.random.default_rng(settings.seed)
    for turn in count():
        for goal in settings.candidate_goals:
            if not left.any():
                return
            error, limit = asked(problem.surrogate, goal, turn, generator)
            errors = np.where(left, error(every), np.inf)
            within = errors <= limit
            pick = int(np.argmin(np.where(within, cost, np.inf) if within.any() else errors))
            left[pick] = False
            yield row(every, pick)


def every_setting(space: ChoiceSpace) -> ChoiceBatch:
    """One policy for each setting that a space offers: its prunings, keep ratios, widths, and either kind of ends."""
    return joined(list({policy_id(policy): policy for policy in _settings(space)}.values()))


def _settings(space: ChoiceSpace) -> Iterator[ChoiceBatch]:
    bits = range(space.min_bits, space.max_bits + 1)
    prunings = [(name, keep) for name in space.granularities for keep in (*space.ratios(name), 1.0)]
    for (name, keep), weight_bits, activation_bits in product(prunings, bits, bits):
        for end_bits in ((_END_BITS, _END_BITS), *((weight_bits, activation_bits + more) for more in _MORE_BITS)):
            policy = space.uniform(weight_bits)
            policy.granularity[:], policy.keep_ratio[:] = GRANULARITIES.index(name), keep
            policy.granularity[:, space.ends], policy.keep_ratio[:, space.ends] = _NONE, 1.0
            policy.activation_bits[:] = activation_bits
            policy.weight_bits[:, space.ends], policy.activation_bits[:, space.reader[space.ends]] = end_bits
            yield space.snapped(policy)
