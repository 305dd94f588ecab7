"""`CompressionEnv`: one episode is one policy, one step is one layer."""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlcompress.envs.observation import LIMIT, SIZE, Observer
from rlcompress.envs.problem import Problem
from rlcompress.errors import RunError
from rlcompress.spec import GRANULARITIES, ChoiceBatch

Action = dict[str, Any]


class CompressionEnv(gymnasium.Env[NDArray[np.float32], Action]):
    """Choose granularity, keep ratio and bits of every layer, in execution order.

    Action: ``Dict(granularity=Discrete(G), knobs=Box(-1, 1, (3,)))``, G counting the allowed granularities and the
    knobs (keep ratio, weight bits, activation bits) each spanning the range from its least to its most. What is
    executed is the nearest choice that the grid and the ties to earlier layers allow; ``info["executed"]`` holds it
    in the same form.

    Observation: see `rlcompress.envs.observation`.

    Reward: -ln(target) - penalty x ln(1 + points of drop beyond the goal), at the end of the episode, for the policy
    really evaluated; the logarithm keeps hopeless policies from drowning the others. Before the end, differences of
    the potential that predicts this for the choices so far completed by the plan (Ng et al., ICML 1999), which do
    not move the optimum. ``info["reward_terms"]`` lists the terms.

    Args:
        problem: what policies are judged by; None to load one from ``problem_names``.
        max_drop: goal, points of the metric that may be lost; `reset` takes another in its options.
        penalty: of a point of drop beyond the goal.
        planned: whether the episode is completed by the planner's policy, found at the first reset by a few real
            evaluations, or else by dense 8 bits.
        problem_names: network, weights, data, hardware and settings, as `Problem.load` takes them (JSON-able).

    Raises:
        RunError: ``max_drop`` is negative or not finite.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # Gymnasium's own convention

    def __init__(
        self,
        problem: Problem | None = None,
        *,
        max_drop: float = 1.0,
        penalty: float = 1.0,
        planned: bool = True,
        source: str = "agent",
        **problem_names: Any,
    ) -> None:
        self.problem = Problem.load(**problem_names) if problem is None else problem
        self._penalty, self._planned, self._source = penalty, planned, source
        self._default_goal = checked_goal(max_drop)
        space = self.problem.space
        self.granularities = space.granularities
        self.low = np.array([space.min_keep_ratio, space.min_bits, space.min_bits])
        self.span = np.array([1.0, space.max_bits, space.max_bits]) - self.low
        self.action_space = spaces.Dict(
            {
                "granularity": spaces.Discrete(len(self.granularities)),
                "knobs": spaces.Box(-1.0, 1.0, (3,), np.float32),
            }
        )
        self.observation_space = spaces.Box(-LIMIT, LIMIT, (SIZE,), np.float32)
        self._observer = Observer(self.problem)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin a policy. ``options["max_drop"]`` sets the goal of this episode."""
        super().reset(seed=seed)
        self._goal = checked_goal((options or {}).get("max_drop", self._default_goal))
        space = self.problem.space
        self.plan = self.problem.plan(self._goal) if self._planned else space.snapped(space.uniform(space.max_bits))
        self._policy = _copy(self.plan)
        self.layer = 0
        self._potential = self._predicted_return()
        return self._observation(), {"goal": self._goal}

    def step(self, action: Action) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Decide on one layer; see the class for what is returned."""
        self._decide(action)
        info: dict[str, Any] = {"executed": self.choice(self._policy, self.layer)}
        self.layer += 1
        done = self.layer == len(self.problem.space.layers)
        if done:
            terms = self._final_terms(info)
        else:
            potential = self._predicted_return()
            terms = {"shaping": potential - self._potential}
            self._potential = potential
        info["reward_terms"] = terms
        return self._observation(), float(sum(terms.values())), done, False, info

    def _decide(self, action: Action) -> None:
        layer, knobs = self.layer, np.asarray(action["knobs"], np.float64)
        policy = _copy(self._policy)
        policy.granularity[0, layer] = GRANULARITIES.index(self.granularities[int(action["granularity"])])
        values = self.low + (np.clip(knobs, -1.0, 1.0) + 1.0) / 2.0 * self.span
        policy.keep_ratio[0, layer] = values[0]
        policy.weight_bits[0, layer], policy.activation_bits[0, layer] = np.rint(values[1:]).astype(np.int64)
        self._policy = self.problem.space.snapped(policy)

    def _final_terms(self, info: dict[str, Any]) -> dict[str, float]:
        outcome = self.problem.evaluate(self._policy, self._source)
        info["outcome"] = outcome
        return {
            "cost": -float(self.problem.log_cost(self._policy)[0]),
            "drop": -self._excess_penalty(outcome.score.drop),
            "shaping": -self._potential,
        }

    def _predicted_return(self) -> float:
        drop = float(self.problem.predicted_drop(self._policy)[0])
        return -float(self.problem.log_cost(self._policy)[0]) - self._excess_penalty(drop)

    def _excess_penalty(self, drop: float) -> float:
        return self._penalty * math.log1p(max(0.0, drop - self._goal))

    def choice(self, policy: ChoiceBatch, layer: int) -> Action:
        """The choice of one layer of a batch of one, in the form of an action."""
        name = GRANULARITIES[policy.granularity[0, layer]]
        values = [v[0, layer] for v in (policy.keep_ratio, policy.weight_bits, policy.activation_bits)]
        knobs = 2.0 * (np.array(values) - self.low) / np.maximum(self.span, 1e-9) - 1.0
        return {"granularity": self.granularities.index(name), "knobs": np.clip(knobs, -1.0, 1.0).astype(np.float32)}

    def _observation(self) -> NDArray[np.float32]:
        drop = float(self.problem.predicted_drop(self._policy)[0])
        return self._observer.observe(self.layer, self._policy, self.plan, drop, self._goal)


def checked_goal(max_drop: float) -> float:
    """``max_drop`` as a float.

    Raises:
        RunError: it is negative or not finite.
    """
    if not 0.0 <= float(max_drop) < float("inf"):
        raise RunError(f"max_drop must be 0 or more points, got {max_drop}")
    return float(max_drop)


def _copy(batch: ChoiceBatch) -> ChoiceBatch:
    return ChoiceBatch(
        batch.granularity.copy(), batch.keep_ratio.copy(), batch.weight_bits.copy(), batch.activation_bits.copy()
    )
