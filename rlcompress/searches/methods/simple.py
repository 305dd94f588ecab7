"""Searches that learn nothing: equal choices in every layer, and choices drawn by chance."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from rlcompress.envs import Problem
from rlcompress.planning import ChoiceSpace
from rlcompress.searches.methods.base import AT_A_TIME, propose_all
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch
from rlcompress.spec import GRANULARITIES, ChoiceBatch

_PRUNINGS = (
    ("none", 1.0), ("element", 0.8), ("element", 0.6), ("n:m", 0.5), ("element", 0.5), ("element", 0.4),
    ("filter", 0.8), ("element", 0.3), ("n:m", 0.25), ("block", 0.5), ("element", 0.2), ("filter", 0.5),
)  # fmt: skip
_END_BITS = 8  # of the first and the last layer, as in published tables
_FIRST_PAIRS = ((8, 8), (6, 6), (5, 5), (4, 4), (6, 5), (5, 6), (5, 4), (4, 5), (8, 4), (4, 8))


def uniform(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Policies with equal choices in every layer, but that the first and the last have 8 bits.

    The first ten pairs of weight and activation bits come with every pruning (eight prunings are 80 evaluations), then
    all other pairs.
    """
    propose_all(problem, _uniform(problem.space), "uniform", AT_A_TIME)


def _uniform(space: ChoiceSpace) -> Iterator[ChoiceBatch]:
    bits = range(space.min_bits, space.max_bits + 1)
    first = [pair for pair in _FIRST_PAIRS if pair[0] in bits and pair[1] in bits]
    rest = [pair for pair in product(reversed(bits), reversed(bits)) if pair not in first]
    for pairs in (first, rest):
        for name, keep in _PRUNINGS:
            if name not in space.granularities:
                continue
            for weight_bits, activation_bits in pairs:
                policy = space.uniform(weight_bits)
                policy.granularity[:], policy.keep_ratio[:] = GRANULARITIES.index(name), keep
                policy.activation_bits[:] = activation_bits
                policy.weight_bits[:, space.ends] = policy.activation_bits[:, space.reader[space.ends]] = _END_BITS
                yield space.snapped(policy)


def random(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Policies drawn independently for every layer, uniformly over granularities, keep ratios and bits."""
    generator = np.random.default_rng(settings.seed)
    propose_all(problem, iter(lambda: drawn(problem.space, generator), None), "random", AT_A_TIME)


def drawn(space: ChoiceSpace, generator: np.random.Generator) -> ChoiceBatch:
    """One policy drawn by chance, snapped."""
    layers = (1, len(space.layers))
    codes = np.array([GRANULARITIES.index(name) for name in space.granularities])
    policy = ChoiceBatch(
        codes[generator.integers(len(codes), size=layers)],
        generator.choice(space.keep_ratios, size=layers),
        generator.integers(space.min_bits, space.max_bits + 1, size=layers),
        generator.integers(space.min_bits, space.max_bits + 1, size=layers),
    )
    return space.snapped(policy)
