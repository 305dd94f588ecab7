"""A contextual five-step task with a hybrid action whose optimum is known: reward 1 a step."""

from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from rlcompress.agents import decode, encode

STEPS = 5


class HybridEnv(gym.Env[np.ndarray, np.ndarray]):
    """The right index is that of the largest context entry; the right knobs are half the first two entries.

    ``snap`` rounds the executed knobs to multiples of 1/4 and reports the executed action.
    """

    def __init__(self, indices: int = 3, snap: bool = False) -> None:
        self.indices, self.snap = indices, snap
        self.observation_space = gym.spaces.Box(-1, 1, (indices + 1,), np.float32)
        self.action_space = gym.spaces.Box(-1, 1, (3,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.count = 0
        return self._observe(), {}

    def _observe(self) -> np.ndarray:
        self.context = self.np_random.uniform(-1, 1, self.indices)
        return np.append(self.context, 2 * self.count / STEPS - 1).astype(np.float32)

    def step(self, action: np.ndarray):
        index = int(decode(action[0], self.indices))
        knobs = np.round(action[1:] * 4) / 4 if self.snap else action[1:]
        reward = float(index == self.context.argmax()) - float(np.square(knobs - self.context[:2] / 2).sum())
        self.count += 1
        info = {"executed_action": np.append(encode(index, self.indices), knobs)} if self.snap else {}
        return self._observe(), reward, self.count == STEPS, False, info


class TellingEnv(HybridEnv):
    """Tells how many discrete actions it has, and what they are called."""

    def __init__(self, names: tuple[str, ...] = ("left", "middle", "right")) -> None:
        super().__init__()
        self.discrete_names, self.discrete_actions = names, len(names)


class CountingEnv(gym.Env[np.ndarray, Any]):
    """Never ends and pays 1 a step. Observes 1000 times the number of the episode, plus the steps taken in it."""

    observation_space = gym.spaces.Box(-1e6, 1e6, (1,), np.float32)

    def __init__(self, action_space: gym.spaces.Space[Any]) -> None:
        self.action_space, self.episode = action_space, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.episode, self.count = self.episode + 1, 0
        return self._observe(), {}

    def _observe(self) -> np.ndarray:
        return np.array([1000 * self.episode + self.count], np.float32)

    def step(self, action: Any):
        self.count += 1
        return self._observe(), 1.0, False, False, {}


class CoupledEnv(HybridEnv):
    """The right knobs depend on the index: 0.7, -0.7 or 0; an index pays its context entry. Optimum 0.5 a step."""

    def step(self, action: np.ndarray):
        index = int(decode(action[0], self.indices))
        reward = float(self.context[index] - np.square(action[1:] - (0.7, -0.7, 0.0)[index]).sum())
        self.count += 1
        return self._observe(), reward, self.count == STEPS, False, {}


def mean_reward(agent: BaseAlgorithm, env: type[HybridEnv] = HybridEnv) -> float:
    """Mean return of the greedy policy over 40 episodes."""
    env_ = Monitor(env())
    env_.reset(seed=7)
    return float(np.mean(evaluate_policy(agent, env_, 40)[0]))
