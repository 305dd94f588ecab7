"""Bars of the engines: speed, bit identity, weight swap, a whole candidate, the sensitivity table."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from benchmarks.evaluation.subjects import ROUNDS, Subject, run_over, seconds
from rlcompress.evaluation import Evaluator, Scorer
from rlcompress.integer import lower
from rlcompress.integer.onednn import int8_works
from rlcompress.planning import ChoiceSpace, measure_sensitivity

CANDIDATE_IMAGES = 256
TABLE_ENTRIES = 144
TABLE_IMAGES = 128


def working_engines() -> tuple[str, ...]:
    """Those that work on this machine's processor."""
    return ("portable", "int8") if int8_works() else ("portable",)


@cache
def forward_seconds(subject: Subject) -> dict[str, float]:
    """Seconds an image of the dense network and the engines that work here, each at its own best batch."""
    images, stitched = subject.inputs(subject.images), subject.bank.stitch(subject.uniform())
    engines = {engine: lower(stitched, engine=engine) for engine in working_engines()}
    networks = {"dense": subject.dense, **engines}
    work = {(n, b): _forward(network, images, b) for n, network in networks.items() for b in subject.batches}
    times = seconds({f"{n} {b}": run for (n, b), run in work.items()})
    return {n: min(times[f"{n} {b}"] for b in subject.batches) / len(images) for n in networks}


def _forward(network: torch.nn.Module, images: Tensor, batch: int) -> Callable[[], Tensor]:
    return lambda: run_over(network, images, batch)


def ratio(engine: str) -> Callable[[Subject], float]:
    """Time of an engine against the dense network's."""
    return lambda subject: forward_seconds(subject)[engine] / forward_seconds(subject)["dense"]


def in_dense_images(subject: Subject, run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Time of some work in dense forwards of one image, interleaved with them."""
    images = subject.inputs(subject.images)
    work = {str(batch): _forward(subject.dense, images, batch) for batch in subject.batches}
    times = seconds({"work": run, **work}, rounds)
    return times["work"] / min(times[name] for name in work) * len(images)


def pruned_ratio(engine: str) -> Callable[[Subject], float]:
    """Time with half the filters of every coupling group against the time with all."""

    def measure(subject: Subject) -> float:
        kinds = {"granularity": "filter", "keep_ratio": 0.5}
        half = {
            name: choice.model_copy(update=kinds) if subject.network.layers[name].coupling else choice
            for name, choice in subject.uniform().items()
        }
        images, batch = subject.inputs(subject.images), subject.batches[1]
        choices = {"half": half, "all": subject.uniform()}
        networks = {name: lower(subject.bank.stitch(policy), engine=engine) for name, policy in choices.items()}
        times = seconds({name: _forward(network, images, batch) for name, network in networks.items()})
        return times["half"] / times["all"]

    return measure


def differing_logits(subject: Subject) -> float:
    """Logits that are not the same bits, over engines, batches and layouts, for three policies."""
    count = min(32, subject.images)
    images, differing = subject.inputs(count), 0
    for weight_bits, activation_bits in ((8, 8), (4, 5), (3, 2)):
        stitched = subject.bank.stitch(subject.uniform(weight_bits, activation_bits))
        wanted = run_over(lower(stitched, engine="portable"), images, count)
        for engine in working_engines():
            network = lower(stitched, engine=engine)
            for batch in (1, 3, count):
                for inputs in (images, images.contiguous()):
                    differing += int((run_over(network, inputs, batch) != wanted).sum())
    return float(differing)


def swap_ms(subject: Subject) -> float:
    """Milliseconds from a stitched network to one that runs in int8."""
    stitched = subject.bank.stitch(subject.uniform(4, 4))
    return 1e3 * seconds({"swap": lambda: lower(stitched, engine="int8")}, rounds=25)["swap"]


def candidate_forwards(correction: str) -> Callable[[Subject], float]:
    """Dense forwards of one image that scoring a candidate on 256 images takes, from a policy that the bank holds."""

    def measure(subject: Subject) -> float:
        choices, bank = subject.uniform(5, 5), subject.local_bank if correction == "local" else subject.bank
        images = subject.data.search.part(slice(0, CANDIDATE_IMAGES))
        scorer = Scorer(bank, Evaluator(subject.network.graph, images, subject.card), "int8")
        scorer(choices)  # into the bank
        return in_dense_images(subject, lambda: scorer(choices))

    return measure


def table_forwards(subject: Subject) -> float:
    """Dense forwards of the same images that 144 entries of the sensitivity table take, candidates in the bank."""
    images, space, entries = subject.inputs(TABLE_IMAGES), ChoiceSpace(subject.network.structure), 0

    def count(_done: int, of: int) -> None:
        nonlocal entries
        entries = of

    measure_sensitivity(subject.bank, space, images[:1], count)  # into the bank
    forwards = in_dense_images(subject, lambda: measure_sensitivity(subject.bank, space, images, count), rounds=3)
    return forwards / len(images) / entries * TABLE_ENTRIES
