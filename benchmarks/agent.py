"""Search methods on a simulated problem (see `benchmarks.simulated`), where a search of 200 evaluations takes seconds.

    python -m benchmarks.agent --measure --weights FILE --data cifar10:DIR
    python -m benchmarks.agent --agents composite dp tsdp --truths 0 1 2 --hardware scalable_sparse_16x32
    python -m benchmarks.agent --ablation

Prints percent saved and true points lost of the policy that each search ends with, means over hidden truths, and the
mean saving less that of the best policy of any method at no more than the allowed true drop.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.ablation import VARIANTS
from benchmarks.simulated import Simulated, measure, simulated
from rlcompress.evaluation import Score
from rlcompress.searches import SearchSettings
from rlcompress.searches.beside import finals_beside
from rlcompress.searches.finals import judged
from rlcompress.searches.methods import PLANNING, propose
from rlcompress.searches.selection import best_within
from rlcompress.searches.watch import Watch

FRESH_IMAGES = 4000


def chosen(problem: Simulated, goal: float, agent: str) -> tuple[float, float]:
    """Percent saved and true points lost of the policy that the final selection picks."""
    outcomes = list(problem.outcomes.values())

    def measured(positions: list[int]) -> list[tuple[Score, Score]]:
        entries = [outcomes[i] for i in positions]
        return [(problem.scored(o.choices, FRESH_IMAGES, salt=1), o.score) for o in entries]

    beside = finals_beside(problem, outcomes) if agent in PLANNING else None
    found = judged(outcomes, [goal], 1.0, measured, beside)
    entries = [outcomes[i] for i in found]
    saved = np.array([outcome.saved_pct for outcome in entries])
    best = best_within(saved, np.array(list(found.values())), goal)
    if best is None:
        return 0.0, 0.0
    return float(saved[best]), problem.true_drop(entries[best].choices)


def truly_best(problem: Simulated, goal: float) -> float:
    """Most percent saved by an evaluated policy whose true drop is allowed."""
    allowed = [o.saved_pct for o in problem.outcomes.values() if problem.true_drop(o.choices) <= goal]
    return max(allowed, default=0.0)


def run(base: Simulated, truth: int, settings: SearchSettings) -> dict[str, float]:
    problem = replace(base.fresh(), truth=truth)
    problem.budget = settings.evaluations
    torch.manual_seed(settings.seed)
    started = time.process_time()
    propose(problem, settings, Watch())
    seconds = time.process_time() - started
    evaluations = problem.evaluations
    saved, lost = chosen(problem, settings.max_drop, settings.agent)
    best = truly_best(problem, settings.max_drop)
    agents = sum(outcome.source == "composite" for outcome in problem.outcomes.values())
    return {
        "saved": saved, "lost": lost, "true": best, "agent's": agents, "evaluations": evaluations,
        "seconds": seconds,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=Path("simulated.json"), help="file of --measure")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--network", default="cifar_resnet20")
    parser.add_argument("--weights")
    parser.add_argument("--data")
    parser.add_argument("--hardware", nargs="+", default=["scalable_sparse_16x32"])
    parser.add_argument("--granularities", nargs="+", default=["none", "element", "filter"])
    parser.add_argument("--agents", nargs="+", default=["composite", "dp", "tsdp"])
    parser.add_argument("--ablation", action="store_true", help="variants of the composite agent in place of methods")
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), help="variants of the ablation")
    parser.add_argument("--truths", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--max-drop", type=float, default=1.0)
    parser.add_argument("--evaluations", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.measure:
        measure(arguments.network, arguments.weights, arguments.data, arguments.table)
        return
    variants = {name: {"agent_settings": VARIANTS[name]} for name in arguments.only}
    if not arguments.ablation:
        variants = {name: {"agent": name} for name in arguments.agents}
    for hardware in arguments.hardware:
        base = simulated(arguments.table, hardware, 0, granularities=tuple(arguments.granularities))
        shared = {"max_drop": arguments.max_drop, "evaluations": arguments.evaluations}
        print(f"{hardware}, at most {arguments.max_drop:g} points, truths {arguments.truths}")
        head = ("saved %", "std", "lost", "true best", "agent's", "evaluations", "seconds")
        print(f"{'':<32}" + "".join(f"{name:>12}" for name in head), flush=True)
        for name, changes in variants.items():
            rows = [run(base, t, SearchSettings.of({**shared, **changes, "seed": t})) for t in arguments.truths]
            mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            figures = (mean["saved"], float(np.std([row["saved"] for row in rows])), mean["lost"], mean["true"])
            figures += (mean["agent's"], mean["evaluations"], mean["seconds"])
            print(f"{name:<32}" + "".join(f"{value:>12.2f}" for value in figures), flush=True)


if __name__ == "__main__":
    main()
