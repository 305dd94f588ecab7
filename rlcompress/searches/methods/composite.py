"""The composite agent: trained on the surrogate, evaluated for real beside the planner."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count, cycle, islice

import numpy as np

from rlcompress.agents import CompositeAgent, CompositeSettings, load_agent, save_agent
from rlcompress.envs import Problem, policy_id
from rlcompress.planning.alternatives import Fronts
from rlcompress.planning.batches import joined, row
from rlcompress.planning.planner import Error
from rlcompress.searches.agent_settings import CompositeSearchSettings
from rlcompress.searches.methods.base import KNOWN_IN_A_ROW, planned, transitions_within
from rlcompress.searches.methods.plans import asked, beside_measured, is_beside
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.surrogate_env import SurrogateEnv
from rlcompress.searches.watch import Watch
from rlcompress.spec import ChoiceBatch

_EXCHANGE = 0.15  # of the logarithm of the cost for that of the error, along the front near a point
_ENDLESS = 10**9  # steps of a training that ends by the clock, whose schedules stay where they begin
_PENALTY = 1.0  # of the error's logarithm beyond the limit, where nothing completes a policy


def composite(problem: Problem, settings: SearchSettings, watch: Watch, *, cold: bool = False) -> None:
    """Rounds of cheap episodes on the surrogate, each followed by real evaluations.

    What is evaluated is the cheapest policy within the allowed drop by the surrogate as `tsdp` takes it in turn, be it
    the planner's or the agent's. So an agent that adds nothing leaves `tsdp`. Cold, there is no planner: actions are
    absolute, nothing is cloned or completed.
    """
    how = CompositeSearchSettings.of(problem.network.name).with_changes(settings.agent_settings)
    if cold:
        how = how.with_changes(dict.fromkeys(("residual", "cloning"), False))
    search = _Search(problem, settings, how, cold)
    with watch.over(search.agent, lambda agent, folder: save_agent(agent, folder / "agent.safetensors")):
        search.run(watch)


class _Search:
    """One search by the composite agent."""

    def __init__(self, problem: Problem, settings: SearchSettings, how: CompositeSearchSettings, cold: bool) -> None:
        self._problem, self._goals, self._how, self._cold = problem, settings.candidate_goals, how, cold
        self._turns, self._numbers = cycle(self._goals), count()
        self._generator = np.random.default_rng(settings.seed)
        self._env = SurrogateEnv(problem, how.episodes, residual=how.residual, shaping=how.shaping, seed=settings.seed)
        self._trained = settings.agent_from is not None
        self._settings = settings
        self.agent = self._made(how.agent) if settings.agent_from is None else self._loaded(settings.agent_from)
        self._begun = self.agent.num_timesteps

    def _made(self, how: CompositeSettings) -> CompositeAgent:
        bounded = replace(how, buffer_size=min(how.buffer_size, self._room))
        return CompositeAgent("MlpPolicy", self._env, settings=bounded, seed=self._settings.seed, device="cpu")

    def _loaded(self, file: str) -> CompositeAgent:
        agent = load_agent(file, self._env, seed=self._settings.seed)
        if agent.buffer_size <= self._room:
            return agent
        return load_agent(file, self._env, seed=self._settings.seed, buffer_size=self._room)

    @property
    def _room(self) -> int:
        """Transitions that the replay may hold."""
        return transitions_within(self._problem.memory.replay, self._env.observation_space, self._env.action_space)

    def run(self, watch: Watch) -> None:
        """Until the budget is spent, a callback ends the learning, or nothing new is proposed any more."""
        if not self._cold:
            planned(self._problem, self._settings)
        plans = [(goal, self._first_plan(goal)) for goal in self._goals]
        self._env.set_plans(plans + self._path_plans())
        if self._how.cloning and not self._trained:
            self.agent.imitate(*self._env.planned_episodes())
        known = 0
        while known < KNOWN_IN_A_ROW and self._trains(watch):
            finished = self._env.take()
            goals = list(islice(self._turns, self._how.batch))
            proposed = [self._proposed(goal, finished) for goal in goals]
            chosen = {policy_id(policy): (policy, source) for _, policy, source in proposed}
            known = known + 1 if chosen.keys() <= self._problem.outcomes.keys() else 0
            for source in ("planner", "composite"):
                self._problem.evaluate_many([policy for policy, own in chosen.values() if own == source], source)
            plans = [(goal, plan) for goal, (plan, _, _) in zip(goals, proposed, strict=True)]
            self._env.set_plans(plans + self._path_plans())
            self.agent.begin_anew()

    def _first_plan(self, goal: float) -> ChoiceBatch:
        space = self._problem.space
        return space.snapped(space.uniform(space.max_bits)) if self._cold else self._problem.plan(goal)

    def _path_plans(self) -> list[tuple[float, ChoiceBatch]]:
        """Plans along the planner's path near the goals, each with the drop that is predicted for it as its goal."""
        if self._cold or not self._how.conditioned:
            return []
        path = self._problem.planner.path
        drops = self._problem.predicted_drop(joined(path))
        near = (drops > 0.3 * min(self._goals)) & (drops < 2.0 * max(self._goals))
        return [(float(drop), plan) for drop, plan, take in zip(drops, path, near, strict=True) if take]

    def _trains(self, watch: Watch) -> bool:
        """Learn for a round; whether no callback ended it."""
        steps = self._how.rounds * self._how.episodes * len(self._problem.space.layers)
        last = self.agent.num_timesteps + steps
        evaluations = self._settings.evaluations
        of_all = _ENDLESS if evaluations is None else self._begun + steps * evaluations // self._how.batch
        self.agent.learn(steps, callback=watch.callbacks, reset_num_timesteps=False, training_timesteps=of_all)
        return self.agent.num_timesteps >= last

    def _proposed(self, goal: float, finished: Sequence[ChoiceBatch]) -> tuple[ChoiceBatch, ChoiceBatch, str]:
        """By the surrogate of one turn: the plan, the policy to evaluate, and whose it is."""
        planner = self._problem.planner
        turn = next(self._numbers) // len(self._goals)
        error, limit = asked(self._problem.surrogate, goal, turn, self._generator)
        if is_beside(turn) and not self._cold:
            plan = beside_measured(self._problem, limit)
            return plan, plan, "planner"
        if self._cold:
            return self._first_plan(goal), self._best(finished, error, limit), "composite"
        fronts: Fronts = {}
        plan = planner.within(limit, error, fronts)
        own = planner.filled(self._best(finished, error, limit), limit, error, fronts)
        cheaper = self._problem.log_cost(own)[0] < self._problem.log_cost(plan)[0]
        return (plan, own, "composite") if cheaper and error(own)[0] <= limit else (plan, plan, "planner")

    def _best(self, finished: Sequence[ChoiceBatch], error: Error, limit: float) -> ChoiceBatch:
        """The policy that will be the cheapest once it is completed, or cold the best as it is."""
        batch = joined(finished)
        beyond = np.log(error(batch) / limit)
        worth = _PENALTY * np.maximum(0.0, beyond) if self._cold else _EXCHANGE * beyond
        return row(batch, int(np.argmin(self._problem.log_cost(batch) + worth)))
