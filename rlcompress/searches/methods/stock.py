"""Stock algorithms of Stable-Baselines3."""

from typing import Any

from stable_baselines3 import DDPG, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from rlcompress.envs import CompressionEnv, FlattenAction, Problem
from rlcompress.searches.methods.base import Method, transitions_within
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch

_EPISODES_PER_EVALUATION = 4  # an agent that repeats known policies for this long has converged
_ENDLESS = 10**9
_REPLAY = 10**6  # transitions, Stable-Baselines3's own default


def stock(algorithm: type[DDPG | PPO | SAC | TD3]) -> Method:
    """A stock Stable-Baselines3 algorithm on the flattened absolute action, without the planner."""

    def method(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
        name = algorithm.__name__.lower()
        env = FlattenAction(CompressionEnv(problem, max_drop=settings.candidate_goals[0], planned=False, source=name))
        room = transitions_within(problem.memory.replay, env.observation_space, env.action_space)
        kept: dict[str, Any] = {} if algorithm is PPO else {"buffer_size": min(_REPLAY, room)}
        agent = algorithm("MlpPolicy", env, seed=settings.seed, device="cpu", **kept)
        with watch.over(agent):
            learn(agent, problem, settings, watch)

    return method


def learn(agent: BaseAlgorithm, problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Let an agent act on a problem until the budget is spent or it repeats itself."""
    episodes = _EPISODES_PER_EVALUATION * (settings.evaluations or _ENDLESS)
    agent.learn(total_timesteps=episodes * len(problem.space.layers), callback=watch.callbacks)
