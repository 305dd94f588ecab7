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
_MORE_BITS = 2  # of what the ends read, where that is not 8
_FIRST_WIDTHS = (
    (8, 8, True), (6, 6, True), (5, 5, True), (4, 4, True), (5, 4, True), (4, 5, True), (8, 4, True), (4, 8, True),
    (5, 5, False), (4, 4, False),
)  # fmt: skip
"""Weight bits, activation bits, whether the ends have 8."""


def uniform(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Policies with equal choices in every layer but the ends.

    The first and the last layer have 8 bits, or the same weight bits as the others and two activation bits more. The
    first ten widths come with every pruning (eight prunings are 80 evaluations), then all others.
    """
    propose_all(problem, _uniform(problem.space), "uniform", AT_A_TIME)


def _uniform(space: ChoiceSpace) -> Iterator[ChoiceBatch]:
    bits = range(space.min_bits, space.max_bits + 1)
    first = [widths for widths in _FIRST_WIDTHS if widths[0] in bits and widths[1] in bits]
    every = product(reversed(bits), reversed(bits), (True, False))
    for some in (first, [widths for widths in every if widths not in first]):
        for name, keep in _PRUNINGS:
            if name not in space.granularities:
                continue
            for weight_bits, activation_bits, wide in some:
                policy = space.uniform(weight_bits)
                policy.granularity[:], policy.keep_ratio[:] = GRANULARITIES.index(name), keep
                policy.activation_bits[:] = activation_bits
                ends = (_END_BITS,) * 2 if wide else (weight_bits, min(_END_BITS, activation_bits + _MORE_BITS))
                policy.weight_bits[:, space.ends], policy.activation_bits[:, space.reader[space.ends]] = ends
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
