"""Rainbow against SB3's DQN and sb3-contrib's QR-DQN on a Gymnasium task with discrete actions.

    python -m benchmarks.rainbow --steps 20000 --seeds 0 1 2

Prints the mean return of the greedy policy during and after training, one row an agent. All agents have the same
network, replay, learning rate, batch size and number of updates; only the algorithm differs.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from sb3_contrib import QRDQN
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rlcompress.agents import Rainbow

COMMON: dict[str, Any] = {
    "learning_rate": 1e-3,
    "buffer_size": 50_000,
    "learning_starts": 500,
    "batch_size": 64,
    "gamma": 0.99,
    "train_freq": 1,
    "target_update_interval": 250,
    "policy_kwargs": {"net_arch": [64, 64]},
    "device": "cpu",
}
RANGE: dict[str, Any] = {"v_min": 0.0, "v_max": 100.0}
EPSILON: dict[str, Any] = {"exploration_fraction": 0.2, "exploration_final_eps": 0.02}
OFF: dict[str, Any] = {
    "double": False,
    "dueling": False,
    "prioritized": False,
    "multi_step": 1,
    "distributional": False,
    "noisy": False,
}

AGENTS: dict[str, Callable[..., OffPolicyAlgorithm]] = {
    "dqn": lambda env, seed: DQN("MlpPolicy", env, seed=seed, **EPSILON, **COMMON),
    "qrdqn": lambda env, seed: QRDQN(
        "MlpPolicy",
        env,
        seed=seed,
        **EPSILON,
        **(COMMON | {"policy_kwargs": {"net_arch": [64, 64], "n_quantiles": 25}}),
    ),
    "rainbow": lambda env, seed: Rainbow("MlpPolicy", env, seed=seed, **RANGE, **COMMON),
    "rainbow-all-off": lambda env, seed: Rainbow("MlpPolicy", env, seed=seed, **OFF, **EPSILON, **COMMON),
} | {
    f"rainbow-no-{name}": lambda env, seed, name=name: Rainbow(
        "MlpPolicy", env, seed=seed, **RANGE, **EPSILON, **COMMON, **{name: OFF[name]}
    )
    for name in OFF
}


class Curve(BaseCallback):
    """Mean return of the greedy policy over 5 episodes, ten times in a training."""

    def __init__(self, env: gym.Env[Any, Any], steps: int) -> None:
        super().__init__()
        self.env, self.interval = env, max(steps // 10, 1)
        self.returns: list[float] = []

    def _on_step(self) -> bool:
        if self.n_calls % self.interval == 0:
            mean, _ = evaluate_policy(self.model, self.env, n_eval_episodes=5, deterministic=True)
            self.returns.append(float(np.mean(mean)))
        return True


def run(name: str, env_id: str, seed: int, steps: int) -> tuple[float, float, float]:
    """Mean return over training (area under the curve), at the end, and seconds."""
    env = Monitor(gym.make(env_id))
    env.reset(seed=seed)
    curve = Curve(env, steps)
    agent = AGENTS[name](gym.make(env_id), seed)
    start = time.perf_counter()
    agent.learn(steps, callback=curve)
    seconds = time.perf_counter() - start
    last, _ = evaluate_policy(agent, env, n_eval_episodes=20, deterministic=True)
    return float(np.mean(curve.returns)), float(np.mean(last)), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="CartPole-v1", help="registered environment with discrete actions")
    parser.add_argument("--agents", nargs="+", default=["dqn", "qrdqn", "rainbow"], choices=sorted(AGENTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=20_000, help="environment steps of one training")
    arguments = parser.parse_args()
    th.set_num_threads(1)
    print(f"{arguments.env}, {arguments.steps} steps, seeds {arguments.seeds}")
    print(f"{'agent':<24}{'mean over training':>20}{'at the end':>12}{'per seed':>24}{'seconds':>9}")
    for name in arguments.agents:
        rows = np.array([run(name, arguments.env, seed, arguments.steps) for seed in arguments.seeds])
        means = rows.mean(axis=0)
        ends = " ".join(f"{value:.0f}" for value in rows[:, 1])
        print(f"{name:<24}{means[0]:>20.1f}{means[1]:>12.1f}{ends:>24}{means[2]:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
