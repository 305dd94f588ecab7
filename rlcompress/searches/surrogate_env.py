"""`SurrogateEnv`: many cheap episodes at once, judged by the hardware model and the surrogate's drops."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from rlcompress.envs import Absolute, Actions, Episodes, FlatActions, Problem, Residual, policy_id
from rlcompress.envs.flat_actions import COLUMNS
from rlcompress.envs.observation import FIELDS, LIMIT, SIZE
from rlcompress.planning.batches import joined, row
from rlcompress.spec import ChoiceBatch

Observations = NDArray[np.float32]


class SurrogateEnv(VecEnv):
    """B episodes in lockstep; the cost is that of the whole policy and exact, the drop is predicted.

    Args:
        problem: whose surrogate judges.
        count: episodes at once.
        residual: whether actions are relative to the plan.
        shaping: whether potentials pay for decisions as they are made.
        seed: of the goals that episodes get.

    Attributes:
        finished: policies that episodes ended with since the last `take`, by id.
    """

    observation_fields = FIELDS
    render_mode = None

    def __init__(
        self, problem: Problem, count: int, *, residual: bool = True, shaping: bool = True, seed: int = 0
    ) -> None:
        super().__init__(
            count, spaces.Box(-LIMIT, LIMIT, (SIZE,), np.float32), spaces.Box(-1.0, 1.0, (COLUMNS,), np.float32)
        )
        self._problem = problem
        self._episodes = Episodes(problem, shaping=shaping)
        names = problem.space.granularities
        self._form: FlatActions = Residual(names, self._episodes.span) if residual else Absolute(names)
        self._generator = np.random.default_rng(seed)
        self._plans: list[tuple[float, ChoiceBatch]] = []
        self._returns = np.zeros(count)
        self.finished: dict[str, ChoiceBatch] = {}

    @property
    def discrete_names(self) -> tuple[str, ...]:
        """What the bins of column 0 mean."""
        return self._form.names

    @property
    def discrete_actions(self) -> int:
        """Bins of column 0."""
        return len(self.discrete_names)

    def set_plans(self, plans: Iterable[tuple[float, ChoiceBatch]]) -> None:
        """Goals that episodes are given, each with the plan that completes them."""
        self._plans = list(plans)

    def take(self) -> list[ChoiceBatch]:
        """The finished policies, which are then forgotten."""
        taken, self.finished = list(self.finished.values()), {}
        return taken

    def planned_episodes(self) -> tuple[Observations, NDArray[np.float32]]:
        """Observations and actions of the episodes that follow the plan of every goal: to be cloned."""
        goals, plans = zip(*self._plans, strict=True)
        self._episodes.begin(joined(plans), np.array(goals))
        observations, actions = [], []
        while not self._episodes.done:
            planned = self._planned()
            observations.append(self._episodes.observations())
            actions.append(self._form.flat(planned, planned))
            self._episodes.decide(planned)
        return np.concatenate(observations), np.concatenate(actions)

    def reset(self) -> Observations:
        """Begin B episodes with goals drawn from those that were set."""
        drawn = self._generator.integers(len(self._plans), size=self.num_envs)
        goals = np.array([self._plans[i][0] for i in drawn])
        self._episodes.begin(joined([self._plans[i][1] for i in drawn]), goals)
        self._returns = np.zeros(self.num_envs)
        return self._episodes.observations()

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Take B flat actions."""
        self._actions = np.asarray(actions, np.float32)

    def step_wait(self) -> tuple[Observations, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Decide on one layer in every episode; all end together and begin again."""
        planned = self._planned()
        executed = self._form.flat(self._episodes.decide(self._form.native(self._actions, planned)), planned)
        terms = self._episodes.rewards(self._problem.predicted_drop)
        rewards = np.sum(list(terms.values()), axis=0)
        self._returns += rewards
        observations, done = self._episodes.observations(), self._episodes.done
        infos: list[dict[str, Any]] = [
            {"executed_action": action, "reward_terms": {name: float(values[i]) for name, values in terms.items()}}
            for i, action in enumerate(executed)
        ]
        if done:
            for i, info in enumerate(infos):
                policy = row(self._episodes.policy, i)
                self.finished[policy_id(policy)] = policy
                info["terminal_observation"] = observations[i]
                info["episode"] = {"r": float(self._returns[i]), "l": self._episodes.layer, "t": 0.0}
            observations = self.reset()
        return observations, rewards.astype(np.float32), np.full(self.num_envs, done), infos

    def _planned(self) -> Actions:
        return self._episodes.choices(self._episodes.plan, self._episodes.layer)

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute, once for each episode asked for."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def has_attr(self, attr_name: str) -> bool:
        """Whether there is such an attribute."""
        return hasattr(self, attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of all episodes."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method, once for all episodes."""
        return [getattr(self, method_name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """There are no wrappers; returns are told as a ``Monitor`` tells them."""
        return [False] * len(list(self._get_indices(indices)))
