"""The bars of candidate evaluation, with what is measured here.

    python -m benchmarks.evaluation --weights DIR --data cifar10:DIR [--imagenet DIR] [--only TEXT]

The first DIR holds ``cifar10_resnet20_akamaster.safetensors``, ``cifar10_resnet56_akamaster.safetensors`` and, with
``--imagenet`` (image folders ``train`` and ``val``), ``imagenet_mobilenet_v2_1.0_224.safetensors``. Times are CPU times
of one thread: medians of interleaved runs, as ratios to the dense fp32 forward at its own best batch. Exits with status
1 if a bar is missed; bars of the int8 engine are left out where it does not work.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.evaluation import bank, engines, fewer_images, ranking
from benchmarks.evaluation.subjects import Subject, Subjects
from rlcompress.integer.onednn import int8_works

Measure = Callable[[Subject], float]


@dataclass(frozen=True)
class Bar:
    """A figure that should be at most (or at least) a limit.

    Attributes:
        what: is measured.
        network: it is measured on.
        limit: of the figure.
        measure: gives it.
        at_least: whether the limit is a lower one.
        int8: whether the int8 engine is what is measured, which does not work on every machine.
    """

    what: str
    network: str
    limit: float
    measure: Measure
    at_least: bool = False
    int8: bool = False

    def met(self, value: float) -> bool:
        """Whether a value is on the right side."""
        return value >= self.limit if self.at_least else value <= self.limit


def bars(subjects: Subjects) -> Iterator[Bar]:
    """All bars, MobileNetV2's where its images are at hand."""
    big = ("mobilenet_v2",) if subjects.has_imagenet else ()
    everywhere = ("resnet20", "resnet56", *big)
    swap = {"resnet20": 5.0, "resnet56": 10.0, "mobilenet_v2": 15.0}
    fill = {"resnet20": 4.0, "mobilenet_v2": 15.0}
    for name in everywhere:
        yield Bar("int8 forward / dense", name, 0.33, engines.ratio("int8"), int8=True)
        yield Bar("portable forward / dense", name, 1.0, engines.ratio("portable"))
        yield Bar("logits that differ between engines, batches, layouts", name, 0, engines.differing_logits)
        yield Bar("weight swap, ms", name, swap[name], engines.swap_ms, int8=True)
    for engine, limit in (("int8", 0.7), ("portable", 0.55)):
        yield Bar(
            f"half of the filters kept / all, {engine}",
            "resnet20",
            limit,
            engines.pruned_ratio(engine),
            int8=engine == "int8",
        )
    for correction, limit in (("local", 85), ("paired", 250)):
        what = f"candidate on 256 images, {correction} correction, dense image-forwards"
        yield Bar(what, "resnet20", limit, engines.candidate_forwards(correction), int8=True)
    yield Bar("144 table entries, dense forwards", "resnet20", 22, engines.table_forwards)
    for correction in ("local", "paired"):
        rank, regret = ranking.spearman(correction), ranking.regret(correction)
        yield Bar(f"Spearman of KL on 256 images, {correction}", "resnet20", 0.85, rank, at_least=True)
        yield Bar(f"regret of the best of 64 by 250 images, {correction}, points", "resnet20", 0.1, regret)
    yield Bar("regret of the best of 64 by successive halving, points", "resnet20", 0.1, fewer_images.halving_regret)
    yield Bar("the same, images a candidate", "resnet20", 250, fewer_images.halving_images)
    learned, gain = fewer_images.learned_spearman, fewer_images.learned_gain
    yield Bar("Spearman of KL on 128 images drawn by importance", "resnet20", 0.9, learned, at_least=True)
    for count in (128, 256):
        yield Bar(f"the same less that on {count} drawn alike", "resnet20", 0.0, gain(count), at_least=True)
    for bits in ((4, 8), (3, 6)):
        what = f"paired correction over new statistics, W{bits[0]}A{bits[1]}, points"
        yield Bar(what, "resnet20", 2.0, ranking.CorrectionGain(*bits), at_least=True)
    yield Bar("Hessians / dense forward", "resnet20", 4.5, bank.hessian_forwards)
    for name in ("resnet20", *big):
        yield Bar("35 options of every layer, s", name, fill[name], lambda _s, n=name: bank.filled(subjects, n)[0])
        yield Bar("the same, peak GB", name, 1.3, lambda _s, n=name: bank.filled(subjects, n)[1])
    yield Bar("a worker, peak MB", "resnet20", 350, bank.worker_mb)


def main() -> None:
    """Print one row a bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, type=Path, help="folder of safetensors files")
    parser.add_argument("--data", required=True, help="cifar10:DIR")
    parser.add_argument("--imagenet", help="image folders; without them MobileNetV2 is left out")
    parser.add_argument("--only", default="", help="bars whose row holds this text")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    subjects = Subjects(arguments.weights, arguments.data, arguments.imagenet)
    missed = 0
    for bar in bars(subjects):
        if arguments.only not in f"{bar.network} {bar.what}":
            continue
        if bar.int8 and not int8_works():
            print(f"{bar.network:13} {bar.what:66} the int8 engine does not work on this machine", flush=True)
            continue
        value = bar.measure(subjects.get(bar.network))
        missed += not bar.met(value)
        sign, verdict = (">=" if bar.at_least else "<="), ("met" if bar.met(value) else "MISSED")
        print(f"{bar.network:13} {bar.what:66} {value:9.3f}   {sign} {bar.limit:g}  {verdict}", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
