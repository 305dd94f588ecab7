"""Stock algorithms of Stable-Baselines3."""

from inspect import signature

from stable_baselines3 import DDPG, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from rlcompress.envs import CompressionEnv, FlattenAction, Problem
from rlcompress.errors import RunError
from rlcompress.plugins import reason_of
from rlcompress.searches.methods.base import Method, transitions_within
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch

_EPISODES_PER_EVALUATION = 4  # an agent that repeats known policies for this long has converged
_ENDLESS = 10**9
_REPLAY = 10**6  # transitions, Stable-Baselines3's own default
_OWN = {"policy", "env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model"} | {
    "action_noise",
    "replay_buffer_class",
}


STOCK: dict[str, type[DDPG | PPO | SAC | TD3]] = {"td3": TD3, "ddpg": DDPG, "sac": SAC, "ppo": PPO}
"""Name on the command line -> algorithm."""


def arguments_of(algorithm: type[DDPG | PPO | SAC | TD3]) -> set[str]:
    """Names that ``agent_settings`` may give: those of the constructor that the search does not set itself."""
    return set(signature(algorithm).parameters) - _OWN


def stock(algorithm: type[DDPG | PPO | SAC | TD3]) -> Method:
    """A stock Stable-Baselines3 algorithm on the flattened absolute action, without the planner."""

    def method(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
        name = algorithm.__name__.lower()
        env = FlattenAction(CompressionEnv(problem, max_drop=settings.candidate_goals[0], planned=False, source=name))
        room = transitions_within(problem.memory.replay, env.observation_space, env.action_space)
        changes = dict(settings.agent_settings)
        if algorithm is not PPO:
            changes["buffer_size"] = min(changes.get("buffer_size", _REPLAY), room)
        try:
            agent = algorithm("MlpPolicy", env, seed=settings.seed, device="cpu", **changes)
        except (AssertionError, TypeError, ValueError) as error:
            raise RunError(f"agent_settings do not fit {algorithm.__name__} ({reason_of(error)}); mend them") from None
        with watch.over(agent):
            learn(agent, problem, settings, watch)

    return method


def learn(agent: BaseAlgorithm, problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Let an agent act on a problem until the budget is spent or it repeats itself."""
    episodes = _EPISODES_PER_EVALUATION * (settings.evaluations or _ENDLESS)
    agent.learn(total_timesteps=episodes * len(problem.space.layers), callback=watch.callbacks)
