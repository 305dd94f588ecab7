"""Which figure tells good candidates from bad ones on few images.

    python -m benchmarks.ranking --network cifar_resnet20 --weights W.safetensors --data cifar10:DIR

Scores 64 mixed policies that lose up to a few points, and holds what 256 search images say of each (clipped KL, output
error, accuracy) against its accuracy on the other search images. Prints Spearman's correlation, and the regret: how
many points the best candidate by 250 images, and that by successive halving on 1,000 images, loses against the truly
best one; means over 20 draws of the images. The bars of clipped KL are those of `benchmarks.evaluation`.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evaluation.ranking import ranks
from rlcompress.data import load_data
from rlcompress.envs import Problem, ProblemSettings
from rlcompress.evaluation import Evaluator, successive_halving
from rlcompress.hw_models import load as load_hardware
from rlcompress.network.pretrained import pretrained
from rlcompress.searches.methods.genetic import mutated
from rlcompress.spec import ChoiceBatch
from rlcompress.threads import one_thread

CANDIDATES = 64
IMAGES = 256
IMAGES_FOR_BEST = 250
POOL = 1000
HALVING = (50, 100, 224)
MILD = 1.5
FIGURES = {"kl": 1.0, "logit_mse": 1.0, "value": -1.0}
_MUTATIONS = 4
_MOST_PREDICTED = 5.0  # points of drop
_DRAWS = 20


def candidates(problem: Problem) -> Iterator[ChoiceBatch]:
    """The planner's policies up to five predicted points, each changed at random in some layers."""
    generator = np.random.default_rng(0)
    mild = [plan for plan in problem.planner.path if problem.predicted_drop(plan)[0] <= _MOST_PREDICTED]
    for i in np.linspace(0, len(mild) - 1, CANDIDATES).round().astype(int):
        policy = ChoiceBatch(*(getattr(mild[i], name).copy() for name in ChoiceBatch.__slots__))
        for _ in range(_MUTATIONS):
            policy = mutated(problem.space, policy, generator)
        yield policy


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Rank correlation; equal values share their mean rank."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def regret(judged: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Points that the candidate judged best (least) loses against the best."""
    return float(truth.max() - truth[judged == judged.min()].mean())


@one_thread()
def scored(problem: Problem, images: Evaluator) -> dict[str, NDArray[np.float64]]:
    """Figure -> what it says of every candidate and image, less is better: [64, N]."""
    figures = [images.per_image(problem.candidate(policy)) for policy in candidates(problem)]
    return {name: sign * torch.stack([getattr(f, name) for f in figures]).numpy() for name, sign in FIGURES.items()}


def judged(figure: NDArray[np.float64], accuracy: NDArray[np.float64]) -> tuple[float, float]:
    """Spearman's correlation at 256 images and the regret of the best by 250, means over drawn images."""
    found = []
    for draw in range(_DRAWS):
        order = np.random.default_rng(draw).permutation(figure.shape[1])
        truth = accuracy[:, order[IMAGES:]].mean(1)
        correlation = spearman(-figure[:, order[:IMAGES]].mean(1), truth)
        found.append((correlation, regret(figure[:, order[:IMAGES_FOR_BEST]].mean(1), truth)))
    correlation, lost = np.mean(found, axis=0)
    return float(correlation), float(lost)


def halved(figure: NDArray[np.float64], accuracy: NDArray[np.float64], images_each: int) -> tuple[float, float]:
    """Regret of successive halving on 1,000 images, and the images that it scores a candidate, means over draws."""
    found = []
    for draw in range(_DRAWS):
        order = np.random.default_rng(draw).permutation(figure.shape[1])
        pool, truth = figure[:, order[:POOL]], accuracy[:, order[POOL:]].mean(1)
        chosen = successive_halving(lambda n, part, pool=pool: pool[n, part], len(pool), POOL, images_each=images_each)
        found.append((truth.max() - truth[chosen.order[0]], chosen.spent / len(pool)))
    lost, images = np.mean(found, axis=0)
    return float(lost), float(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("network", "weights", "data"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    network, card = pretrained(arguments.network, arguments.weights)
    data = load_data(arguments.data)
    problem = Problem.of(network, card, data, load_hardware("scalable_sparse_16x32"), ProblemSettings())
    evaluator = Evaluator(network.graph, data.search, card)
    report(scored(problem, evaluator), evaluator.dense.metric)


def report(figures: dict[str, NDArray[np.float64]], dense: float) -> None:
    """Print a row a figure."""
    accuracy = -figures["value"]
    mild = accuracy.mean(1) >= dense - MILD
    print(f"{mild.sum()} of {CANDIDATES} candidates lose at most {MILD:g} points")
    print(f"| figure | Spearman at {IMAGES} images | among those | regret of the best by {IMAGES_FOR_BEST}, points |")
    print("|---|---|---|---|")
    for name, figure in figures.items():
        correlation, lost = judged(figure, accuracy)
        print(f"| {name} | {correlation:.3f} | {judged(figure[mild], accuracy[mild])[0]:.3f} | {lost:.2f} |")
    print("\n| figure | successive halving: images allowed a candidate | scored | regret, points |")
    print("|---|---|---|---|")
    for name, figure in figures.items():
        for images_each in HALVING:
            lost, images = halved(figure, accuracy, images_each)
            print(f"| {name} | {images_each} | {images:.0f} | {lost:.3f} |")


if __name__ == "__main__":
    main()
