"""Bars of what saves images: successive halving, and images drawn by learned importance."""

from collections.abc import Callable
from functools import cache

import numpy as np

from benchmarks.evaluation.ranking import CANDIDATES, POOL, evaluator, lost, scored, with_metric
from benchmarks.evaluation.subjects import Subject
from rlcompress.evaluation import Scorer, Selection, best_of, sample_images
from rlcompress.integer import lower

DRAWN = 128
EARLIER = 8
DRAWS = 20


@cache
def selection(subject: Subject) -> Selection:
    """The best of 64 policies, with the library's budget."""
    scorer = Scorer(subject.bank, evaluator(subject, POOL), "auto")
    return best_of(scorer, subject.random_policies(CANDIDATES))


def halving_regret(subject: Subject) -> float:
    """Points of held-out top-1 between the best of 64 and the one that successive halving chooses."""
    return lost(subject, selection(subject).numbers[0])


def halving_images(subject: Subject) -> float:
    """Images scored for that, a candidate."""
    return selection(subject).images_scored / CANDIDATES


@cache
def learned_spearman(subject: Subject) -> float:
    """Rank correlation with held-out top-1 on 128 of 1,000 images, from 8 other candidates; mean over 20 draws."""
    pool, figures = evaluator(subject, POOL), scored(subject)["paired"]
    networks = (lower(subject.bank.stitch(policy)) for policy in subject.random_policies(EARLIER, seed=1))
    earlier = np.stack([pool.per_image(network).error.numpy() for network in networks])
    samples = [sample_images(earlier, DRAWN, seed) for seed in range(DRAWS)]
    return float(np.mean([with_metric(subject, sample.mean(figures[:, sample.images])) for sample in samples]))


def learned_gain(count: int) -> Callable[[Subject], float]:
    """What this is above the rank correlation on so many images that are drawn alike, mean over 20 draws."""

    def measure(subject: Subject) -> float:
        figures, draws = scored(subject)["paired"], [np.random.default_rng(seed) for seed in range(DRAWS)]
        drawn = [figures[:, draw.choice(figures.shape[1], count, replace=False)].mean(1) for draw in draws]
        return learned_spearman(subject) - float(np.mean([with_metric(subject, judged) for judged in drawn]))

    return measure
