"""The search methods by name: each proposes policies to a problem until its budget is spent."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from stable_baselines3 import DDPG, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger, configure

from rlcompress.agents import CompositeAgent
from rlcompress.envs import BudgetSpent, CompressionEnv, FlattenAction, Problem, ResidualAction
from rlcompress.searches.settings import SearchSettings
from rlcompress.spec import GRANULARITIES, ChoiceBatch

Method = Callable[[Problem, SearchSettings, Path | None], None]
"""(problem with a budget, settings, run folder or None) -> nothing; the problem keeps the outcomes."""

_EPISODES_PER_EVALUATION = 4  # an agent that repeats known policies for this long has converged
_ENDLESS = 10**9


def composite(problem: Problem, settings: SearchSettings, folder: Path | None) -> None:
    """The composite agent, acting as a residual on the planner's choice that it first learns to repeat."""
    env = ResidualAction(CompressionEnv(problem, max_drop=settings.max_drop, source="composite"))
    agent = CompositeAgent(
        "MlpPolicy",
        env,
        env.discrete_actions,
        seed=settings.seed,
        device="cpu",
        actor_last_layer=0.0,
        random_warmup=False,
        learning_starts=len(problem.space.layers),
        noise_std=0.15,
        actor_warmup=30 * len(problem.space.layers),
        decay=1e-2,
        exploration_initial_eps=0.1,
        exploration_final_eps=0.02,
    )
    try:
        observations, actions = _planned_episode(env, settings.seed)
        agent.imitate(observations, actions)
        _learn(agent, problem, settings, folder)
    finally:
        if folder is not None:
            agent.save(folder / "agent.zip")


def _planned_episode(env: ResidualAction, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Observations and actions of the episode that follows the plan."""
    as_planned = np.array([1.0 / env.discrete_actions - 1.0, 0.0, 0.0, 0.0], np.float32)
    observation, _ = env.reset(seed=seed)
    observations, done = [], False
    while not done:
        observations.append(observation)
        observation, _, done, _, _ = env.step(as_planned)
    return np.stack(observations), np.repeat(as_planned[None], len(observations), 0)


def stock(algorithm: type[DDPG | PPO | SAC | TD3]) -> Method:
    """A stock Stable-Baselines3 algorithm on the flattened absolute action, without the planner."""

    def method(problem: Problem, settings: SearchSettings, folder: Path | None) -> None:
        name = algorithm.__name__.lower()
        env = FlattenAction(CompressionEnv(problem, max_drop=settings.max_drop, planned=False, source=name))
        agent = algorithm("MlpPolicy", env, seed=settings.seed, device="cpu")
        try:
            _learn(agent, problem, settings, folder)
        finally:
            if folder is not None:
                agent.save(folder / "agent.zip")

    return method


def _learn(agent: BaseAlgorithm, problem: Problem, settings: SearchSettings, folder: Path | None) -> None:
    agent.set_logger(configure(str(folder), ["tensorboard"]) if folder else Logger(None, []))
    episodes = _EPISODES_PER_EVALUATION * (settings.evaluations or _ENDLESS)
    agent.learn(total_timesteps=episodes * len(problem.space.layers))


def uniform(problem: Problem, settings: SearchSettings, folder: Path | None) -> None:
    """Policies with equal choices in every layer, mildest first: every bit pair dense, then with element pruning."""
    space = problem.space
    ratios = [r for r in (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2) if r == 1.0 or "element" in space.granularities]
    pairs = [(w, a) for w in range(space.max_bits, space.min_bits - 1, -1) for a in range(w + 1, w - 2, -1)]
    for keep in ratios:
        for weight_bits, activation_bits in pairs:
            policy = space.uniform(8)
            policy.keep_ratio[:] = keep
            policy.granularity[:] = GRANULARITIES.index("none" if keep == 1.0 else "element")
            policy.weight_bits[:], policy.activation_bits[:] = weight_bits, activation_bits
            problem.evaluate(space.snapped(policy), "uniform")


def random(problem: Problem, settings: SearchSettings, folder: Path | None) -> None:
    """Policies drawn independently for every layer, uniformly over granularities, keep ratios and bits."""
    generator = np.random.default_rng(settings.seed)
    space = problem.space
    layers = (1, len(space.layers))
    codes = np.array([GRANULARITIES.index(name) for name in space.granularities])
    while True:
        policy = ChoiceBatch(
            codes[generator.integers(len(codes), size=layers)],
            generator.choice(space.keep_ratios, size=layers),
            generator.integers(space.min_bits, space.max_bits + 1, size=layers),
            generator.integers(space.min_bits, space.max_bits + 1, size=layers),
        )
        problem.evaluate(space.snapped(policy), "random")


METHODS: dict[str, Method] = {
    "composite": composite,
    "td3": stock(TD3),
    "ddpg": stock(DDPG),
    "sac": stock(SAC),
    "ppo": stock(PPO),
    "uniform": uniform,
    "random": random,
}
"""Name on the command line -> method."""


def propose(problem: Problem, settings: SearchSettings, folder: Path | None) -> None:
    """Run the method that the settings name until the problem's budget is spent or it has nothing more to propose."""
    try:
        METHODS[settings.agent](problem, settings, folder)
    except BudgetSpent:
        return
