"""Bars of the bank and of worker processes."""

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.evaluation.engines import in_dense_images
from benchmarks.evaluation.subjects import Subject, Subjects
from rlcompress.candidates import Candidates
from rlcompress.compensation import input_hessians
from rlcompress.evaluation import Evaluator, Score, Scorer
from rlcompress.spec import LayerChoice
from rlcompress.workers import WorkerPool

HESSIAN_IMAGES = 512
WORKER_IMAGES = 1000
KEEP_RATIOS = (1.0, 0.8, 0.6, 0.4, 0.2)  # with 7 widths, 35 options a layer


def hessian_forwards(subject: Subject) -> float:
    """Time of the input Hessians, of as many images as a bank looks at, against the dense forward of these."""
    template, images = subject.bank.template(), subject.calibration[:HESSIAN_IMAGES]
    work = in_dense_images(subject, lambda: input_hessians(template, subject.network.layers, images), rounds=3)
    return work / len(images)


def _peak_kb() -> int:
    """Peak resident memory of this process; Linux's ``ru_maxrss`` would hold that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@dataclass(frozen=True)
class _Fill:
    """Makes options of every layer and tells the CPU seconds and the peak GB of its process."""

    bank: Candidates

    def __call__(self, keep_ratios: tuple[float, ...]) -> tuple[float, float]:
        layers, started = self.bank.network.layers, time.process_time()
        dense = {layer: LayerChoice() for layer in layers}
        for keep in keep_ratios:
            choice = LayerChoice(granularity="element", keep_ratio=keep) if keep < 1.0 else LayerChoice()
            for layer in layers:
                self.bank.weights(layer, {**dense, layer: choice})
        return time.process_time() - started, _peak_kb() / 1e6


@cache
def filled(subjects: Subjects, name: str) -> tuple[float, float]:
    """CPU seconds of 35 options of every layer, Hessians at hand, and the peak GB of a worker that does this."""
    subject = subjects.get(name)
    bank = Candidates(subject.network, subject.calibration)  # that knows no layer yet
    with WorkerPool(_Fill(bank), 1) as pool:
        return next(pool.map([KEEP_RATIOS]))


@dataclass(frozen=True)
class _Peak:
    """Scores a policy and tells the peak MB of its process."""

    scorer: Scorer

    def __call__(self, choices: dict[str, LayerChoice]) -> float:
        assert isinstance(self.scorer(choices), Score)
        return _peak_kb() / 1e3


def worker_mb(subject: Subject) -> float:
    """Peak memory of a worker that scores policies on 1,000 images."""
    evaluator = Evaluator(subject.network.graph, subject.data.search.part(slice(0, WORKER_IMAGES)), subject.card)
    with WorkerPool(_Peak(Scorer(subject.bank, evaluator, "auto")), 1) as pool:
        return max(pool.map([subject.uniform(bits, bits) for bits in (4, 5)]))
