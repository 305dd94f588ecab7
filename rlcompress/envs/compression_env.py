"""`CompressionEnv`: one episode is one policy, one step is one layer."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded
from numpy.typing import NDArray

from rlcompress.envs.episodes import Actions, Episodes, Pruner
from rlcompress.envs.observation import FIELDS, LIMIT, SIZE
from rlcompress.envs.problem import Problem
from rlcompress.errors import RunError
from rlcompress.spec import ChoiceBatch

Action = dict[str, Any]


class CompressionEnv(gymnasium.Env[NDArray[np.float32], Action]):
    """Choose granularity, keep ratio and bits of every layer, in execution order.

    Action: ``Dict(granularity=Discrete(G), knobs=Box(-1, 1, (3,)))``, G counting the allowed granularities and the
    knobs (keep ratio, weight bits, activation bits) each spanning the range from its least to its most. What is
    executed is the nearest choice that the grid and the ties to earlier layers allow; ``info["executed"]`` holds it
    in the same form. With ``pruners`` G counts those.

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
        shaping: whether potentials pay for decisions as they are made; otherwise everything is paid at the end.
        source: recorded with the evaluations.
        pruners: pairs of granularity and criterion to choose from, in place of the granularities alone.
        problem_names: network, weights, data, hardware and settings, as `Problem.load` takes them (JSON-able).

    Raises:
        RunError: ``max_drop`` is negative or not finite.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # Gymnasium's own convention
    observation_fields = FIELDS

    def __init__(
        self,
        problem: Problem | None = None,
        *,
        max_drop: float = 1.0,
        penalty: float = 1.0,
        planned: bool = True,
        shaping: bool = True,
        source: str = "agent",
        pruners: Sequence[Pruner] | None = None,
        **problem_names: Any,
    ) -> None:
        self.problem = Problem.load(**problem_names) if problem is None else problem
        self._planned, self._source = planned, source
        self._default_goal = checked_goal(max_drop)
        self._begun = False
        self._episodes = Episodes(self.problem, penalty=penalty, shaping=shaping, pruners=pruners)
        named = tuple(f"{granularity} by {criterion}" for granularity, criterion in pruners or ())
        self.granularities = named or self.problem.space.granularities
        self.span = self._episodes.span
        self.action_space = spaces.Dict(
            {
                "granularity": spaces.Discrete(len(self.granularities)),
                "knobs": spaces.Box(-1.0, 1.0, (3,), np.float32),
            }
        )
        self.observation_space = spaces.Box(-LIMIT, LIMIT, (SIZE,), np.float32)

    @property
    def layer(self) -> int:
        """Position of the layer to decide next."""
        return self._episodes.layer

    @property
    def plan(self) -> ChoiceBatch:
        """What completes the episode's policy."""
        return self._episodes.plan

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin a policy. ``options["max_drop"]`` sets the goal of this episode."""
        super().reset(seed=seed)
        goal = checked_goal((options or {}).get("max_drop", self._default_goal))
        space = self.problem.space
        plan = self.problem.plan(goal) if self._planned else space.snapped(space.uniform(space.max_bits))
        self._episodes.begin(plan, np.array([goal]))
        self._begun = True
        return self._episodes.observations()[0], {"goal": goal}

    def step(self, action: Action) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Decide on one layer; see the class for what is returned.

        Raises:
            gymnasium.error.ResetNeeded: no policy has been begun, or the last one is finished.
            gymnasium.error.InvalidAction: no such granularity, or a knob that is no number.
        """
        if not self._begun:
            raise ResetNeeded("every layer is decided, or none has been begun; call reset()")
        executed = self._episodes.decide(self._checked(action))
        info: dict[str, Any] = {"executed": _native(executed)}
        done = self._episodes.done
        self._begun = not done

        def measured(policy: ChoiceBatch) -> NDArray[np.float64]:
            info["outcome"] = outcome = self.problem.evaluate(policy, self._source)
            return np.array([outcome.score.drop])

        terms = {name: float(values[0]) for name, values in self._episodes.rewards(measured).items()}
        info["reward_terms"] = terms
        return self._episodes.observations()[0], float(sum(terms.values())), done, False, info

    def _checked(self, action: Action) -> Actions:
        granularity, knobs = int(action["granularity"]), np.asarray(action["knobs"], np.float64)
        if not 0 <= granularity < len(self.granularities):
            raise InvalidAction(f"granularity must be from 0 to {len(self.granularities) - 1}, got {granularity}")
        if knobs.shape != (3,) or not np.isfinite(knobs).all():
            raise InvalidAction(f"knobs must be three numbers, got {knobs.tolist()}")
        return Actions(np.array([granularity]), knobs[None])

    def choice(self, policy: ChoiceBatch, layer: int) -> Action:
        """The choice of one layer of a batch of one, in the form of an action."""
        return _native(self._episodes.choices(policy, layer))


def _native(actions: Actions) -> Action:
    return {"granularity": int(actions.granularity[0]), "knobs": actions.knobs[0].astype(np.float32)}


def checked_goal(max_drop: float) -> float:
    """``max_drop`` as a float.

    Raises:
        RunError: it is negative or not finite.
    """
    if not 0.0 <= float(max_drop) < float("inf"):
        raise RunError(f"max_drop must be 0 or more points, got {max_drop}")
    return float(max_drop)
