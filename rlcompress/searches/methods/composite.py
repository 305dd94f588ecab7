"""The composite agent: trained on the surrogate, evaluated for real where it promises most."""

from dataclasses import replace

import numpy as np

from rlcompress.agents import CompositeAgent, CompositeSettings, load_agent, save_agent
from rlcompress.envs import Problem, policy_id
from rlcompress.planning.planner import row
from rlcompress.searches.acquisition import promise
from rlcompress.searches.agent_settings import CompositeSearchSettings
from rlcompress.searches.methods.base import KNOWN_IN_A_ROW, planned, transitions_within
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.surrogate_env import SurrogateEnv, joined
from rlcompress.searches.watch import Watch
from rlcompress.spec import ChoiceBatch

_LIMIT_SPREAD = 0.1  # of the logarithm of the error that policies are completed to


def composite(problem: Problem, settings: SearchSettings, watch: Watch, *, cold: bool = False) -> None:
    """Rounds of cheap episodes on the surrogate, each followed by real evaluations of what promises most.

    The promising policies are the planner's on the surrogate as corrected so far, and the best that the agent's
    episodes ended with. Cold, there is no planner: actions are absolute, nothing is cloned or completed.
    """
    how = CompositeSearchSettings.of(problem.network.name).with_changes(settings.agent_settings)
    if cold:
        how = how.with_changes(dict.fromkeys(("residual", "cloning", "filling", "planning"), False))
    search = _Search(problem, settings, how, cold)
    with watch.over(search.agent, lambda agent, folder: save_agent(agent, folder / "agent.safetensors")):
        search.run(watch)


class _Search:
    """One search by the composite agent."""

    def __init__(self, problem: Problem, settings: SearchSettings, how: CompositeSearchSettings, cold: bool) -> None:
        self._problem, self._goals, self._how, self._cold = problem, settings.candidate_goals, how, cold
        self._generator = np.random.default_rng(settings.seed)
        self._env = SurrogateEnv(problem, how.episodes, residual=how.residual, shaping=how.shaping, seed=settings.seed)
        self._trained = settings.agent_from is not None
        if settings.agent_from is not None:
            self.agent = load_agent(settings.agent_from, self._env, seed=settings.seed)
        else:
            self.agent = CompositeAgent(
                "MlpPolicy",
                self._env,
                self._env.discrete_actions,
                self._bounded(how.agent),
                seed=settings.seed,
                device="cpu",
            )
        self._settings = settings

    def _bounded(self, agent: CompositeSettings) -> CompositeSettings:
        """Settings whose replay takes no more than is allowed."""
        room = transitions_within(self._problem.memory.replay, self._env.observation_space, self._env.action_space)
        return replace(agent, buffer_size=min(agent.buffer_size, room))

    def run(self, watch: Watch) -> None:
        """Until the budget is spent, or nothing new is proposed any more."""
        if not self._cold:
            planned(self._problem, self._settings)
        self._plan()
        if self._how.cloning and not self._trained:
            self.agent.imitate(*self._env.planned_episodes())
        known = 0
        while known < KNOWN_IN_A_ROW:
            self._train(watch)
            chosen = self._chosen()
            for source in ("planner", "composite"):
                self._problem.evaluate_many([policy for policy, own in chosen if own == source], source)
            known = 0 if chosen else known + 1
            self._plan()

    def _plan(self) -> None:
        """Plan for every goal on the surrogate as it is now; the path serves goals of its own."""
        self._plans: dict[float, ChoiceBatch] = {goal: self._planned(goal) for goal in self._goals}
        plans = list(self._plans.items())
        if self._how.conditioned and not self._cold:
            path = self._problem.planner.path
            drops = self._problem.predicted_drop(joined(path))
            near = (drops > 0.3 * min(self._goals)) & (drops < 2.0 * max(self._goals))
            plans += [(float(drop), plan) for drop, plan, take in zip(drops, path, near, strict=True) if take]
        self._env.set_plans(plans)

    def _planned(self, goal: float) -> ChoiceBatch:
        space, surrogate = self._problem.space, self._problem.surrogate
        if self._cold:
            return space.snapped(space.uniform(space.max_bits))
        return self._problem.planner.within(surrogate.error_at(goal), surrogate.error)

    def _train(self, watch: Watch) -> None:
        steps = self._how.rounds * self._how.episodes * len(self._problem.space.layers)
        self.agent.learn(steps, callback=watch.callbacks, reset_num_timesteps=False)

    def _chosen(self) -> list[tuple[ChoiceBatch, str]]:
        """New policies to evaluate, most promising first, each with what proposed it."""
        finished = self._env.take()
        share = -(-self._how.batch // len(self._goals))
        chosen: dict[str, tuple[ChoiceBatch, str]] = {}
        for goal in self._goals:
            proposals = self._proposals(finished, goal, share)
            new = {policy_id(p): (p, source) for p, source in proposals if policy_id(p) not in self._problem.outcomes}
            if not new:
                continue
            worth = promise(self._problem, joined([policy for policy, _ in new.values()]), goal)
            order = np.argsort(-worth, kind="stable")[:share]
            chosen |= {key: new[key] for key in np.array(list(new))[order]}
        return list(chosen.values())

    def _proposals(self, finished: list[ChoiceBatch], goal: float, share: int) -> list[tuple[ChoiceBatch, str]]:
        proposals = [(self._plans[goal], "planner")] if self._how.planning else []
        if not finished:
            return proposals
        batch = joined(finished)
        best = np.argsort(-promise(self._problem, batch, goal), kind="stable")[: self._how.proposals * share]
        for i in best:
            policy = row(batch, int(i))
            proposals.append((self._filled(policy, goal) if self._how.filling else policy, "composite"))
        return proposals

    def _filled(self, policy: ChoiceBatch, goal: float) -> ChoiceBatch:
        surrogate = self._problem.surrogate
        limit = surrogate.error_at(goal) * float(np.exp(_LIMIT_SPREAD * self._generator.standard_normal()))
        return self._problem.planner.filled(policy, limit, surrogate.error)
