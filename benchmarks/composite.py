"""Ablation of the composite agent on two synthetic tasks with hybrid actions whose optimum is known.

    python -m benchmarks.composite --task residual --steps 3000 --seeds 0 1

``coupled``: cold; the right knobs depend on the index, the right index on the state.
``residual``: started from a clone of "as planned" (index 0, knobs 0), which the right residuals improve on a little.
Prints the mean return of the greedy policy at the start and after training, one row a variant.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from rlcompress.agents import CompositeAgent, decode, encode

INDICES, KNOBS, STATE, STEPS = 6, 3, 8, 20
GENERATOR = np.random.default_rng(5)
RIGHT_KNOBS = GENERATOR.normal(size=(KNOBS, STATE)) * 0.08
ADVANTAGE = GENERATOR.normal(size=(INDICES, STATE)) * 0.05
INDEX_KNOBS = GENERATOR.uniform(-0.8, 0.8, (INDICES, KNOBS))

Pay = Callable[[np.ndarray, int, np.ndarray], float]


def residual_pay(state: np.ndarray, index: int, knobs: np.ndarray) -> float:
    advantage = 0.0 if index == 0 else ADVANTAGE[index] @ state - 0.1
    return float(advantage - 0.3 * np.square(knobs - RIGHT_KNOBS @ state).sum())


def coupled_pay(state: np.ndarray, index: int, knobs: np.ndarray) -> float:
    return float(5.0 * ADVANTAGE[index] @ state - np.square(knobs - INDEX_KNOBS[index]).sum())


class Task(gym.Env[np.ndarray, np.ndarray]):
    """Twenty independent steps with Gaussian states; a step pays what ``pay`` says."""

    observation_space = gym.spaces.Box(-10, 10, (STATE,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1 + KNOBS,), np.float32)

    def __init__(self, pay: Pay) -> None:
        self.pay = pay

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.count = 0
        return self._observe(), {}

    def _observe(self) -> np.ndarray:
        self.state = self.np_random.normal(size=STATE).astype(np.float32)
        return self.state

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward = self.pay(self.state, int(decode(action[0], INDICES)), action[1:])
        self.count += 1
        return self._observe(), reward, self.count == STEPS, False, {}


@dataclass(frozen=True)
class Study:
    """A task, how the agent starts, the best mean return, and the settings to compare."""

    pay: Pay
    best: float
    start: dict[str, Any]
    variants: tuple[dict[str, Any], ...]


STATES = np.random.default_rng(0).normal(size=(50_000, STATE))
WARM: dict[str, Any] = {"actor_last_layer": 0.0, "random_warmup": False, "noise_std": 0.2, "decay": 1e-4}

STUDIES = {
    "coupled": Study(
        coupled_pay,
        STEPS * float((5.0 * STATES @ ADVANTAGE.T).max(axis=1).mean()),
        {},
        (
            {},
            {"condition_on_features": False},
            {"condition_on_knobs": False, "condition_on_features": False},
            {"knobs_per_index": False},
        ),
    ),
    "residual": Study(
        residual_pay,
        STEPS * float(np.maximum((STATES @ ADVANTAGE[1:].T - 0.1).max(axis=1), 0.0).mean()),
        WARM,
        (
            {},
            {"actor_warmup": 500},
            {"decay": 0.0},
            {"discrete": "qrdqn"},
            {"rainbow": {"noisy": True}},
            {"rainbow": {"distributional": False}},
        ),
    ),
}


def score(agent: CompositeAgent, pay: Pay) -> float:
    env = Monitor(Task(pay))
    env.reset(seed=3)
    return float(np.mean(evaluate_policy(agent, env, 30)[0]))


def run(study: Study, seed: int, steps: int, changes: dict[str, Any]) -> tuple[float, float]:
    """Mean return before and after training."""
    agent = CompositeAgent("MlpPolicy", Task(study.pay), INDICES, seed=seed, device="cpu", **(study.start | changes))
    if study.start:
        planned = np.append(encode(0, INDICES), np.zeros(KNOBS))
        agent.imitate(STATES[:200], np.tile(planned, (200, 1)))
    before = score(agent, study.pay)
    return before, score(agent.learn(steps), study.pay)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(STUDIES), default="residual")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--steps", type=int, default=3000)
    arguments = parser.parse_args()
    th.set_num_threads(1)
    study = STUDIES[arguments.task]
    print(f"{arguments.task}: {arguments.steps} steps, seeds {arguments.seeds}, optimum {study.best:.2f}")
    print(f"{'start':>8}{'end':>8}  {'end per seed':<20}settings changed")
    for changes in study.variants:
        rows = np.array([run(study, seed, arguments.steps, changes) for seed in arguments.seeds])
        ends = " ".join(f"{value:.2f}" for value in rows[:, 1])
        print(f"{rows[:, 0].mean():>8.2f}{rows[:, 1].mean():>8.2f}  {ends:<20}{changes or 'none'}", flush=True)


if __name__ == "__main__":
    main()
