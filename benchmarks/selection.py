"""What the policy that is chosen on few images truly loses.

    python -m benchmarks.selection --network cifar_resnet20 --weights W.safetensors --data cifar10:DIR

Takes the 64 mixed policies of `benchmarks.ranking`. In each of 400 draws, 20 of them are final networks and the others
candidates, all scored on so many search images; the one that saves most with an allowed drop is chosen, by the drops
as they are measured, by `final_drops`, and by those where nothing tells what was to be expected to be lost. Prints a
row for each number of images, allowed drop and rule: how often one was chosen, and means of what it saves and of what
it loses on the search images that were not drawn, and how often that is more than half a point above the allowed drop.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.ranking import candidates
from rlcompress.data import load_data
from rlcompress.envs import Problem, ProblemSettings
from rlcompress.evaluation import Evaluator, Score
from rlcompress.evaluation.score import PerImage
from rlcompress.hw_models import load as load_hardware
from rlcompress.network.pretrained import pretrained
from rlcompress.searches.selection import best_within, final_drops
from rlcompress.threads import one_thread

IMAGES = (256, 750, 2500)
GOALS = (0.5, 1.0)
FINALS = 20
MISSED_BY = 0.5
_DRAWS = 400


def _judged(finals: Sequence[Score], others: Sequence[Score]) -> NDArray[np.float64]:
    return final_drops([(score, score) for score in finals], others)


def _unexpected(scores: Sequence[Score]) -> list[Score]:
    return [replace(score, expected_drop=None) for score in scores]


Rule = Callable[[Sequence[Score], Sequence[Score]], NDArray[np.float64]]
RULES: dict[str, Rule] = {
    "measured": lambda finals, _others: np.array([score.drop for score in finals]),
    "and by its KL": lambda finals, others: _judged(_unexpected(finals), _unexpected(others)),
    "and by expectation": _judged,
}
"""Scores of final networks and of candidates -> what the final networks are judged by."""


@one_thread()
def measured(problem: Problem, images: Evaluator) -> tuple[NDArray[np.float64], list[PerImage], PerImage]:
    """Percent saved by the policies, their figures and the dense network's."""
    policies = list(candidates(problem))
    costs = np.array([float(problem.costs(policy).energy_uj[0]) for policy in policies])
    dense = float(problem.costs(problem.space.uniform(8)).energy_uj[0])
    figures = [images.per_image(problem.candidate(policy)) for policy in policies]
    return 100.0 * (1.0 - costs / dense), figures, images.per_image(problem.network.graph)


def chosen(
    saved: NDArray[np.float64], figures: list[PerImage], dense: PerImage, metric: Evaluator, count: int, goal: float
) -> dict[str, list[tuple[float, float]]]:
    """Rule -> (percent saved, points truly lost) of what it chooses in each draw where it finds something."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in RULES}
    for draw in range(_DRAWS):
        generator = np.random.default_rng(draw)
        order = torch.from_numpy(generator.permutation(len(dense.value)))
        finals = generator.permutation(len(figures))[:FINALS]
        few = dense.part(order[:count])
        scores = [figure.part(order[:count]).score(few, metric.metric) for figure in figures]
        others = [score for i, score in enumerate(scores) if i not in finals]
        for name, rule in RULES.items():
            best = best_within(saved[finals], rule([scores[i] for i in finals], others), goal)
            if best is not None:
                rest = figures[finals[best]].part(order[count:]).score(dense.part(order[count:]), metric.metric)
                found[name].append((float(saved[finals[best]]), rest.drop))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("network", "weights", "data"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    network, card = pretrained(arguments.network, arguments.weights)
    data = load_data(arguments.data)
    problem = Problem.of(network, card, data, load_hardware("scalable_sparse_16x32"), ProblemSettings())
    evaluator = Evaluator(network.graph, data.search, card)
    saved, figures, dense = measured(problem, evaluator)
    print(f"| images | allowed | judged by | chosen, % | saved, % | truly lost | beyond by {MISSED_BY:g}, % |")
    print("|---|---|---|---|---|---|---|")
    for count in (count for count in IMAGES if count < 0.7 * len(dense.value)):
        for goal in GOALS:
            for name, found in chosen(saved, figures, dense, evaluator, count, goal).items():
                cells = np.array(found or [(np.nan, np.nan)])
                beyond = 100.0 * (cells[:, 1] > goal + MISSED_BY).mean()
                print(
                    f"| {count} | {goal:g} | {name} | {100.0 * len(found) / _DRAWS:.0f} | {cells[:, 0].mean():.1f} "
                    f"| {cells[:, 1].mean():.2f} | {beyond:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
