"""NSGA-II (Deb et al., IEEE TEVC 2002) on cost and drop."""

from collections.abc import Sequence, Set

import numpy as np
from numpy.typing import NDArray

from rlcompress.envs import Outcome, Problem, policy_id
from rlcompress.planning import ChoiceSpace
from rlcompress.searches.methods.base import KNOWN_IN_A_ROW, planned
from rlcompress.searches.methods.chance import drawn
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch
from rlcompress.spec import ChoiceBatch

_POPULATION = 20
_CROSSOVER = 0.9
_MUTATED_LAYERS = 2.0  # on average


def nsga2(problem: Problem, settings: SearchSettings, watch: Watch, *, cold: bool = False) -> None:
    """Parents chosen by front and crowding, uniform crossover over layers, mutation of single choices.

    The first population is handed over: the planner's policies, evaluated as everything else is, or random ones.
    """
    generator = np.random.default_rng(settings.seed)
    population = _first_population(problem, settings, generator, cold)
    while True:
        rank, crowding = _ranked(population)
        children: dict[str, ChoiceBatch] = {}
        for _ in range(_POPULATION):
            first, second = (_tournament(rank, crowding, generator) for _ in range(2))
            known = {*problem.outcomes, *children}
            child = _new_child(problem.space, population[first].choices, population[second].choices, known, generator)
            children[policy_id(child)] = child
        if children.keys() <= problem.outcomes.keys():
            return  # the space is as good as exhausted
        population = _survivors([*population, *problem.evaluate_many(list(children.values()), "nsga2")])


def _first_population(
    problem: Problem, settings: SearchSettings, generator: np.random.Generator, cold: bool
) -> list[Outcome]:
    population = [] if cold else planned(problem, settings)
    if not cold:
        path = problem.planner.path
        middle = min(
            range(len(path)), key=lambda i: abs(problem.predicted_drop(path[i])[0] - settings.candidate_goals[0])
        )
        near = sorted(range(len(path)), key=lambda i: abs(i - middle))
        population += problem.evaluate_many([path[i] for i in near[:_POPULATION]], "nsga2")
    chance = [drawn(problem.space, generator) for _ in range(_POPULATION - len(population))]
    population += problem.evaluate_many(chance, "nsga2")
    return _survivors(list({policy_id(outcome.choices): outcome for outcome in population}.values()))


def _new_child(
    space: ChoiceSpace, a: ChoiceBatch, b: ChoiceBatch, known: Set[str], generator: np.random.Generator
) -> ChoiceBatch:
    """A child that has not been evaluated yet; after many known ones, a policy drawn by chance."""
    for _ in range(KNOWN_IN_A_ROW):
        child = mutated(space, _crossed(a, b, generator), generator)
        if policy_id(child) not in known:
            return child
    return drawn(space, generator)


def _crossed(a: ChoiceBatch, b: ChoiceBatch, generator: np.random.Generator) -> ChoiceBatch:
    from_b = (generator.random(a.shape) < 0.5) & (generator.random() < _CROSSOVER)
    return ChoiceBatch(*(np.where(from_b, getattr(b, name), getattr(a, name)) for name in ChoiceBatch.__slots__))


def mutated(space: ChoiceSpace, policy: ChoiceBatch, generator: np.random.Generator) -> ChoiceBatch:
    """Bits move by one, keep ratios by up to two steps, or a layer's pruning is drawn anew."""
    for layer in np.flatnonzero(generator.random(policy.shape[1]) < _MUTATED_LAYERS / policy.shape[1]):
        kind = generator.integers(4)
        if kind == 0:
            policy.weight_bits[0, layer] += generator.choice([-1, 1])
        elif kind == 1:
            policy.activation_bits[0, space.reader[layer]] += generator.choice([-1, 1])
        else:
            decides = space.leader[layer] if kind == 3 else layer
            granularity, keep = space.options(int(decides))
            option = generator.integers(len(keep))
            if kind == 2:  # a neighbour of the same granularity, or the first step away from dense
                now = policy.granularity[0, layer], policy.keep_ratio[0, layer]
                distance = np.abs(keep - now[1]) + 10.0 * (granularity != now[0]) * (now[1] < 1.0)
                option = generator.choice(np.argsort(distance, kind="stable")[1:5]) if len(keep) > 5 else option
            policy.granularity[0, decides], policy.keep_ratio[0, decides] = granularity[option], keep[option]
    return space.snapped(policy)


def _objectives(population: Sequence[Outcome]) -> NDArray[np.float64]:
    return np.array([(-outcome.saved_pct, outcome.score.drop) for outcome in population])


def _ranked(population: Sequence[Outcome]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Number of the front that each belongs to, and its crowding distance within it."""
    values = _objectives(population)
    dominates = (values[:, None] <= values[None]).all(2) & (values[:, None] < values[None]).any(2)
    rank, crowding = np.full(len(values), -1), np.zeros(len(values))
    front = 0
    while (rank < 0).any():
        left = rank < 0
        members = np.flatnonzero(left & ~(dominates & left[:, None]).any(0))
        rank[members] = front
        crowding[members] = _crowding(values[members])
        front += 1
    return rank, crowding


def _crowding(values: NDArray[np.float64]) -> NDArray[np.float64]:
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        span = max(float(column.max() - column.min()), 1e-12)
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def _tournament(rank: NDArray[np.int64], crowding: NDArray[np.float64], generator: np.random.Generator) -> int:
    a, b = generator.integers(len(rank), size=2)
    return int(a if (rank[a], -crowding[a]) <= (rank[b], -crowding[b]) else b)


def _survivors(population: list[Outcome]) -> list[Outcome]:
    rank, crowding = _ranked(population)
    return [population[i] for i in np.lexsort((-crowding, rank))[:_POPULATION]]
