"""Whether anything cheaper than the planner's policy lies near it, by the accelerator model and the measured table.

    python -m benchmarks.local_search --table TABLE --hardware scalable_sparse_16x32 bitfusion_16x32

Prints percent saved at the same predicted error by the planner, by the exact knapsack completed layer by layer, and by
ruin and recreate (Schrimpf et al. 2000): some layers of the best so far get other choices, and the policy is completed.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.simulated import Simulated, simulated
from rlcompress.planning import Knapsack
from rlcompress.planning.batches import repeated
from rlcompress.spec import ChoiceBatch

SHIFTED = (2, 5)  # layers
KNAPSACKS = 3


def ruined(problem: Simulated, plan: ChoiceBatch, layers: int, generator: np.random.Generator) -> ChoiceBatch:
    """Some layers get a bit more, keep more, or are pruned in another way."""
    space, policy = problem.space, repeated(plan, 1)
    for layer in generator.choice(len(space.layers), layers, replace=False):
        policy.weight_bits[0, layer] += generator.integers(0, 2)
        policy.activation_bits[0, space.reader[layer]] += generator.integers(0, 2)
        policy.keep_ratio[0, layer] = min(1.0, policy.keep_ratio[0, layer] + 0.05 * generator.integers(0, 4))
        if generator.random() < 0.3:
            leader = int(space.leader[layer])
            granularity, keep = space.options(leader)
            option = generator.integers(len(keep))
            policy.granularity[0, leader], policy.keep_ratio[0, leader] = granularity[option], keep[option]
    return space.snapped(policy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=Path("simulated.json"), help="file of benchmarks.agent --measure")
    parser.add_argument("--hardware", nargs="+", default=["scalable_sparse_16x32"])
    parser.add_argument("--limit", type=float, default=0.018, help="relative logit error")
    parser.add_argument("--tries", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for hardware in arguments.hardware:
        problem = simulated(arguments.table, hardware, 0)
        planner, limit = problem.planner, arguments.limit

        def saved(policy: ChoiceBatch, problem: Simulated = problem) -> float:
            return 100.0 * (1.0 - float(np.exp(problem.log_cost(policy)[0])))

        plan = planner.within(limit)
        figures = {"planner": saved(plan)}

        def cost(batch: ChoiceBatch, problem: Simulated = problem) -> NDArray[np.float64]:
            return np.exp(problem.log_cost(batch))

        knapsack = Knapsack(problem.space, cost, planner.error)
        plans = knapsack.plans(np.geomspace(limit / 2, limit, KNAPSACKS))
        figures["knapsack, completed"] = max(saved(planner.filled(one, limit)) for one in plans)
        generator = np.random.default_rng(0)
        for layers in SHIFTED:
            best, found = plan, []
            for _ in range(arguments.tries):
                policy = planner.filled(ruined(problem, best, layers, generator), limit)
                found.append(saved(policy))
                best = max(best, policy, key=saved)
            figures[f"{layers} layers ruined, best of {arguments.tries}"] = max(found)
            figures[f"{layers} layers ruined, median"] = float(np.median(found))
        print(f"{hardware}, relative error at most {limit:g}: percent saved")
        for name, figure in figures.items():
            print(f"  {name:<36}{figure:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
