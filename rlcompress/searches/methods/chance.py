"""Choices drawn by chance."""

import numpy as np

from rlcompress.envs import Problem
from rlcompress.planning import ChoiceSpace
from rlcompress.searches.methods.base import AT_A_TIME, propose_all
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch
from rlcompress.spec import GRANULARITIES, ChoiceBatch


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
