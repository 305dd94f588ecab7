"""`Episodes`: B policies decided layer by layer at once, with every figure computed for all of them together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlcompress.envs.observation import Observer
from rlcompress.envs.problem import Problem
from rlcompress.spec import CRITERIA, GRANULARITIES, ChoiceBatch

Floats = NDArray[np.float64]
Pruner = tuple[str, str]
"""A granularity and a criterion."""

Drops = Callable[[ChoiceBatch], Floats]
"""Points that B finished policies lose: [B]; predicted, or really measured."""


@dataclass(frozen=True, slots=True)
class Actions:
    """What is done to one layer in each of B episodes.

    Attributes:
        granularity: [B] positions among the space's granularities, or among the pruners that episodes offer.
        knobs: [B, 3] keep ratio, weight bits and activation bits, each from -1 (least) to 1 (most).
    """

    granularity: NDArray[np.int64]
    knobs: Floats


class Episodes:
    """Choices of B policies, made for one layer after the other, and what they earn.

    Args:
        problem: what policies are judged by.
        penalty: of ln(1 + points of drop beyond the goal), a point being the metric's.
        shaping: whether potentials pay for decisions as they are made; otherwise everything is paid at the end.
        pruners: what may be chosen; None for the space's granularities with the bank's criterion.
        gamma: discount under which potentials leave the best policy as it is.

    Attributes:
        layer: position of the layer to decide next.
        policy: choices so far, completed by the plan: B policies.
        plan: the plans: B policies.
        goals: [B] allowed drops in points.
    """

    layer: int
    policy: ChoiceBatch
    plan: ChoiceBatch
    goals: Floats

    def __init__(
        self,
        problem: Problem,
        *,
        penalty: float = 1.0,
        shaping: bool = True,
        pruners: Sequence[Pruner] | None = None,
        gamma: float = 1.0,
    ) -> None:
        self._problem, self._penalty, self._shaping, self._gamma = problem, penalty, shaping, gamma
        self._observer = Observer(problem)
        space = problem.space
        self.low = np.array([space.min_keep_ratio, space.min_bits, space.min_bits])
        self.span = np.array([1.0, space.max_bits, space.max_bits]) - self.low
        pairs = pruners or [(name, CRITERIA[0]) for name in space.granularities]
        self._codes = np.array([GRANULARITIES.index(granularity) for granularity, _ in pairs])
        self._criteria = np.array([CRITERIA.index(criterion) for _, criterion in pairs])
        self._number = np.zeros((len(GRANULARITIES), len(CRITERIA)), np.int64)
        for number in reversed(range(len(pairs))):  # plans know no criterion: they mean the first that is offered
            self._number[self._codes[number]] = number
        self._number[self._codes, self._criteria] = np.arange(len(pairs))

    def begin(self, plan: ChoiceBatch, goals: Floats) -> None:
        """Begin B episodes, completed by B plans."""
        self.plan, self.policy, self.goals, self.layer = plan, _copy(plan), goals, 0
        self._potential = self._predicted_return()

    @property
    def done(self) -> bool:
        """Whether every layer is decided."""
        return self.layer == len(self._problem.space.layers)

    def observations(self) -> NDArray[np.float32]:
        """See `rlcompress.envs.observation`: [B, SIZE]."""
        drops = self._problem.predicted_drop(self.policy)
        return self._observer.observe(self.layer, self.policy, self.plan, drops, self.goals)

    def decide(self, actions: Actions) -> Actions:
        """Make the nearest allowed choice for the next layer of each policy; what was executed."""
        policy, layer = _copy(self.policy), self.layer
        values = self.low + (np.clip(actions.knobs, -1.0, 1.0) + 1.0) / 2.0 * self.span
        policy.granularity[:, layer] = self._codes[actions.granularity]
        policy.criterion[:, layer] = self._criteria[actions.granularity]
        policy.keep_ratio[:, layer] = values[:, 0]
        policy.weight_bits[:, layer], policy.activation_bits[:, layer] = np.rint(values[:, 1:]).astype(np.int64).T
        self.policy = self._problem.space.snapped(policy)
        executed = self.choices(self.policy, layer)
        self.layer += 1
        return executed

    def rewards(self, drops: Drops) -> dict[str, Floats]:
        """What the last decision earns, term by term: [B] each.

        Args:
            drops: asked for the finished policies, after the last decision.
        """
        if not self.done:
            if not self._shaping:
                return {"shaping": np.zeros(len(self.goals))}
            before, self._potential = self._potential, self._predicted_return()
            return {"shaping": self._gamma * self._potential - before}
        return {
            "cost": -self._problem.log_cost(self.policy),
            "drop": -self._excess_penalty(drops(self.policy)),
            "shaping": -self._potential if self._shaping else np.zeros(len(self.goals)),
        }

    def choices(self, policy: ChoiceBatch, layer: int) -> Actions:
        """The choices that B policies make for one layer, as actions."""
        arrays = (policy.keep_ratio, policy.weight_bits, policy.activation_bits)
        values = np.stack([array[:, layer] for array in arrays], axis=1)
        knobs = np.clip(2.0 * (values - self.low) / np.maximum(self.span, 1e-9) - 1.0, -1.0, 1.0)
        return Actions(self._number[policy.granularity[:, layer], policy.criterion[:, layer]], knobs)

    def _predicted_return(self) -> Floats:
        predicted = self._problem.predicted_drop(self.policy)
        return -self._problem.log_cost(self.policy) - self._excess_penalty(predicted)

    def _excess_penalty(self, drops: Floats) -> Floats:
        point = self._problem.evaluator.metric.point
        return self._penalty * np.log1p(np.maximum(0.0, drops - self.goals) / point)


def _copy(batch: ChoiceBatch) -> ChoiceBatch:
    return ChoiceBatch(*(getattr(batch, name).copy() for name in ChoiceBatch.__slots__))
