"""What each part of the composite agent is worth to its learning, on the problem of `benchmarks.simulated`.

    python -m benchmarks.ablation --table TABLE --truths 0 1 2 --rounds 10

Every variant gets the same episodes on the same surrogate, which has seen the planner's bisection. Printed is the gain
of the greedy policy over the plan, in hundredths of the return (about percent of the energy at an equal drop), for
goals along the planner's path: right after cloning, and after the episodes; means over truths, with the standard
deviation. `python -m benchmarks.agent --ablation` compares whole searches at equal evaluations.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.simulated import Simulated, simulated
from rlcompress.agents import CompositeAgent
from rlcompress.planning.batches import joined
from rlcompress.searches.agent_settings import CompositeSearchSettings
from rlcompress.searches.surrogate_env import SurrogateEnv

OFF: dict[str, Any] = dict.fromkeys(("double", "dueling", "prioritized", "distributional"), False)
VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "no residual": {"residual": False},
    "no shaping": {"shaping": False},
    "no cloning": {"cloning": False},
    "no decay": {"agent": {"decay": 0.0}},
    **{f"Rainbow: no {name}": {"agent": {"rainbow": {name: value}}} for name, value in OFF.items()},
    "Rainbow: no multi_step": {"agent": {"rainbow": {"multi_step": 1}}},
    "Rainbow: with noisy": {"agent": {"rainbow": {"noisy": True}}},
    "DQN for Rainbow": {"agent": {"discrete": "dqn"}},
    "DDPG for TD3": {"agent": {"continuous": "ddpg"}},
    "no conditioning on features": {"agent": {"condition_on_features": False}},
    "no conditioning on knobs": {"agent": {"condition_on_knobs": False}},
    "no learning after cloning": {"agent": {"gradient_steps": 0}},
    "discount 0.9": {"agent": {"gamma": 0.9}},
    "learning rate 1e-3, decay 1e-3": {"agent": {"learning_rate": 1e-3, "decay": 1e-3}},
    "that, knobs as cloned": {"agent": {"learning_rate": 1e-3, "decay": 1e-3, "actor_warmup": 10**6}},
}


def gains(agent: CompositeAgent, env: SurrogateEnv) -> list[float]:
    """What the greedy policy's return is above the plan's, an episode each."""
    observations, done = env.reset(), np.array([False])
    while not done.all():
        actions, _ = agent.predict(observations, deterministic=True)
        env.step_async(actions)
        observations, _, done, infos = env.step_wait()
    return [info["episode"]["r"] for info in infos]


def run(base: Simulated, truth: int, changes: dict[str, Any], rounds: int) -> tuple[float, float]:
    """Mean gains in hundredths before and after the episodes."""
    problem = replace(base.fresh(), truth=truth)
    problem.plan(1.0)
    how = CompositeSearchSettings.of(problem.network.name).with_changes(changes)
    path = problem.planner.path
    drops = problem.predicted_drop(joined(path))
    plans = [(float(drop), plan) for drop, plan in zip(drops, path, strict=True) if 0.3 < drop < 2.0]
    torch.manual_seed(truth)
    env, judge = (
        SurrogateEnv(problem, how.episodes, residual=how.residual, shaping=shaping, seed=seed)
        for seed, shaping in ((truth, how.shaping), (1000, True))
    )
    env.set_plans(plans)
    judge.set_plans(plans)
    agent = CompositeAgent("MlpPolicy", env, env.discrete_actions, how.agent, seed=truth, device="cpu")
    if how.cloning:
        agent.imitate(*env.planned_episodes())
    before = gains(agent, judge)
    agent.learn(rounds * how.episodes * len(problem.space.layers))
    return 100.0 * float(np.mean(before)), 100.0 * float(np.mean(gains(agent, judge)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=Path("simulated.json"), help="file of benchmarks.agent --measure")
    parser.add_argument("--hardware", default="scalable_sparse_16x32")
    parser.add_argument("--truths", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=10, help="of 16 episodes")
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), help="variants")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    base = simulated(arguments.table, arguments.hardware, 0)
    print(f"{arguments.hardware}, {arguments.rounds} rounds, truths {arguments.truths}")
    print(f"{'':<32}{'cloned':>10}{'std':>8}{'learned':>10}{'std':>8}{'seconds':>10}", flush=True)
    for name in arguments.only:
        started = time.process_time()
        rows = np.array([run(base, truth, VARIANTS[name], arguments.rounds) for truth in arguments.truths])
        mean, std = rows.mean(axis=0), rows.std(axis=0)
        seconds = time.process_time() - started
        print(f"{name:<32}{mean[0]:>10.2f}{std[0]:>8.2f}{mean[1]:>10.2f}{std[1]:>8.2f}{seconds:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
