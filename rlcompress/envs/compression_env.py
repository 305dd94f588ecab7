"""`CompressionEnv`: one episode is one policy, one step is one layer."""

import math
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
from rlcompress.envs.settings import check_known
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
    really evaluated; the logarithm keeps hopeless policies from drowning the others. Before the end, gamma x potential
    after less potential before a decision (Ng et al., ICML 1999), which leaves the best policy of an agent of that
    discount as it is; the potential predicts the reward of the choices so far, completed by the plan.
    ``info["reward_terms"]`` lists the terms.

    Predictions learn from every evaluation of the problem, so plans, potentials and predicted drops are not the same
    after `reset` with the same seed once something was evaluated in between; the terms ``cost`` and ``drop`` are. Give
    an environment that only tests an agent a problem of its own, `Problem.fresh`, and no ``shaping``.

    Args:
        problem: what policies are judged by; None to load one from ``problem_names``.
        max_drop: goal, points of the metric that may be lost; `reset` takes another in its options.
        penalty: of ln(1 + points of drop beyond the goal), a point being the metric's (`rlcompress.evaluation.Metric`).
        planned: whether the episode is completed by the planner's policy, found by a few real evaluations at the first
            reset with each goal, which may spend the problem's budget, or else by dense 8 bits.
        shaping: whether potentials pay for decisions as they are made; otherwise everything is paid at the end.
        source: recorded with the evaluations.
        pruners: pairs of granularity and criterion to choose from, in place of the granularities alone, ``none``
            among them. What the plan prunes counts as pruned by the first criterion that is offered for it.
        gamma: the agent's discount, for the potentials.
        render_mode: None; the environment draws nothing.
        problem_names: network, weights, data, hardware and settings, as `Problem.load` takes them (JSON-able).

    Raises:
        RunError: a value is out of its range, a name is unknown, or names are given beside a problem.
        RlcompressError: as `Problem.load`.
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
        gamma: float = 1.0,
        render_mode: None = None,
        **problem_names: Any,
    ) -> None:
        self._default_goal = checked_goal(max_drop)
        if not 0.0 <= penalty < math.inf:
            raise RunError(f"penalty must be 0 or more, got {penalty}")
        if not 0.0 <= gamma <= 1.0:
            raise RunError(f"gamma must be from 0 to 1, got {gamma}")
        if render_mode is not None:
            raise RunError(f"render_mode {render_mode!r} is unknown: the environment draws nothing; leave it out")
        if problem is not None and problem_names:
            raise RunError(
                f"{next(iter(problem_names))!r} is given beside a problem; give it to Problem.load, or alone"
            )
        if pruners is not None and "none" not in {granularity for granularity, _ in pruners}:
            raise RunError("pruners lack none, which is what a layer is that cannot be pruned; add ('none', 'default')")
        self.problem = _loaded(problem_names) if problem is None else problem
        self._planned, self._source = planned, source
        self._begun = False
        self._episodes = Episodes(self.problem, penalty=penalty, shaping=shaping, pruners=pruners, gamma=gamma)
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
        """Begin a policy. ``options["max_drop"]`` sets the goal of this episode.

        Raises:
            RunError: that goal is negative or not finite, or there are other options.
            BudgetSpent: the plan for a new goal needs more evaluations than are left.
        """
        super().reset(seed=seed)
        check_known(options or {}, {"max_drop"})
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
        self.check_begun()
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

    def check_begun(self) -> None:
        """See that there is a layer to decide.

        Raises:
            gymnasium.error.ResetNeeded: no policy has been begun, or the last one is finished.
        """
        if not self._begun:
            raise ResetNeeded("every layer is decided, or none has been begun; call reset()")

    def _checked(self, action: Action) -> Actions:
        granularity, knobs = np.asarray(action["granularity"]), np.asarray(action["knobs"], np.float64)
        last = len(self.granularities) - 1
        if granularity.shape or granularity.dtype.kind not in "iu" or not 0 <= granularity <= last:
            raise InvalidAction(f"granularity must be a whole number from 0 to {last}, got {granularity.tolist()}")
        if knobs.shape != (3,) or not np.isfinite(knobs).all():
            raise InvalidAction(f"knobs must be three numbers, got {knobs.tolist()}")
        return Actions(granularity[None].astype(np.int64), knobs[None])

    def choice(self, policy: ChoiceBatch, layer: int) -> Action:
        """The choice of one layer of a batch of one, in the form of an action."""
        return _native(self._episodes.choices(policy, layer))


def _native(actions: Actions) -> Action:
    return {"granularity": int(actions.granularity[0]), "knobs": actions.knobs[0].astype(np.float32)}


def _loaded(names: dict[str, Any]) -> Problem:
    missing = [name for name in ("network", "data") if name not in names]
    if missing:
        raise RunError(f"no {missing[0]} is given; give a problem, or network and data by their names")
    return Problem.load(**names)


def checked_goal(max_drop: float) -> float:
    """``max_drop`` as a float.

    Raises:
        RunError: it is negative or not finite.
    """
    if not 0.0 <= float(max_drop) < float("inf"):
        raise RunError(f"max_drop must be 0 or more points, got {max_drop}")
    return float(max_drop)
