"""What repair without retraining keeps, at uniform settings, and what the defaults of the repair are worth.

    python -m benchmarks.repair --network cifar_resnet20 --weights W.safetensors --data cifar10:DIR
    python -m benchmarks.repair --network cifar_resnet20 --weights W.safetensors --data cifar10:DIR --defaults
    python -m benchmarks.repair --network cifar_resnet20 --weights W.safetensors --data cifar10:DIR --speed

Prints one row a setting (first and last layer at 8 bits): the metric on the test images without repair (largest
weights kept, rounded to nearest, calibrated ranges) and of the final network of each of ``--tiers``, executed in
integers. ``--defaults``: the drop in points and 1000 x the clipped KL divergence on 2,000 search images (training
images) when one default is changed, by which the defaults are chosen. ``--speed``: seconds of the dense network, of the
Hessians and of a sweep over 7 bit-widths x 5 sparsities in every layer, best of three, and the peak memory.
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rlcompress.candidates import Candidates, calibration_images
from rlcompress.candidates.layer import DenseLayer, Pruning, compress, stages_of
from rlcompress.candidates.template import quantizable
from rlcompress.compensation import input_hessians
from rlcompress.data import DataSplits, load_data
from rlcompress.evaluation import Evaluator
from rlcompress.integer import lower
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import TracedNetwork, trace
from rlcompress.network.weights import build
from rlcompress.spec import LayerChoice, applies

SETTINGS: dict[str, tuple[str, float, int, int]] = {
    "W8A8": ("none", 1.0, 8, 8),
    "W4A8": ("none", 1.0, 4, 8),
    "W4A4": ("none", 1.0, 4, 4),
    "W3A4": ("none", 1.0, 3, 4),
    "50 % W8A8": ("element", 0.5, 8, 8),
    "30 % W8A8": ("element", 0.3, 8, 8),
    "50 % W5A5": ("element", 0.5, 5, 5),
    "2:4 W5A5": ("n:m", 0.5, 5, 5),
    "block 50 % W8A8": ("block", 0.5, 8, 8),
    "pattern W8A8": ("pattern", 0.45, 8, 8),
    "kernel 50 % W8A8": ("kernel", 0.5, 8, 8),
    "channel 75 % W8A8": ("channel", 0.75, 8, 8),
}
"""Name -> granularity, keep ratio, weight bits, activation bits."""

VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    *({"criterion": name} for name in ("l1", "activation", "blended", "taylor", "bernoulli")),
    *({"hessian_images": count} for count in (256, 1000)),
    *({"correction_images": count} for count in (32, 128)),
    *({"range_norm": norm} for norm in (2.0, 4.0)),
)
SEARCH_IMAGES = 2000
HESSIAN_IMAGES = 512
DENSE_BATCH = 64
SPARSITIES = (1.0, 0.8, 0.6, 0.4, 0.2)


def uniform(network: TracedNetwork, setting: str) -> dict[str, LayerChoice]:
    """The setting in every layer that allows it; the first and the last keep 8 bits."""
    granularity, keep, weight_bits, activation_bits = SETTINGS[setting]
    ends = (next(iter(network.layers)), list(network.layers)[-1])
    choices = {}
    for name, spec in network.layers.items():
        bits = (8, 8) if name in ends else (weight_bits, activation_bits)
        pruned = keep < 1.0 and applies(granularity, spec)
        kind = {"granularity": granularity, "keep_ratio": keep} if pruned else {}
        choices[name] = LayerChoice(weight_bits=bits[0], activation_bits=bits[1], **kind)
    return choices


def repaired_rows(
    network: TracedNetwork, card: NetworkCard, data: DataSplits, settings: Sequence[str], tiers: Sequence[str]
) -> Iterator[str]:
    def load() -> Tensor:
        return data.calibration.normalized(slice(None), card.mean, card.std)

    evaluator = Evaluator(network.graph, data.test, card)
    further = partial(data.learning, card.mean, card.std)
    banks = [Candidates(network, load(), repair="none", criterion="l1")]
    banks += [
        Candidates(network, calibration_images(network, tier, card, load), learning=further, repair=tier)
        for tier in tiers
    ]
    yield f"| setting | without repair | {' | '.join(tiers)} |\n|---|---|{'---|' * len(tiers)}"
    yield "| dense fp32" + f" | {evaluator.dense.metric:.2f}" * len(banks) + " |"
    for setting in settings:
        choices = uniform(network, setting)
        metrics = [evaluator.score(lower(bank.final(choices))).metric for bank in banks]
        yield f"| {setting} | {' | '.join(f'{metric:.2f}' for metric in metrics)} |"


def default_rows(
    network: TracedNetwork, card: NetworkCard, data: DataSplits, settings: Sequence[str], _tiers: Sequence[str]
) -> Iterator[str]:
    evaluator = Evaluator(network.graph, data.search.part(slice(0, SEARCH_IMAGES)), card)
    calibration = data.calibration.normalized(slice(None), card.mean, card.std)
    yield f"| changed | {' | '.join(settings)} |\n|---|{'---|' * len(settings)}"
    for variant in VARIANTS:
        bank, cells = Candidates(network, calibration, **variant), []
        for setting in settings:
            score = evaluator.score(bank.stitch(uniform(network, setting)))
            assert score.kl is not None
            cells.append(f"{score.drop:.2f} / {1000 * score.kl:.1f}")
        label = ", ".join(f"{key} {value}" for key, value in variant.items()) or "defaults"
        yield f"| {label} | {' | '.join(cells)} |"


def speed_rows(
    network: TracedNetwork, card: NetworkCard, data: DataSplits, _settings: Sequence[str], _tiers: Sequence[str]
) -> Iterator[str]:
    images = data.calibration.normalized(slice(0, HESSIAN_IMAGES), card.mean, card.std)
    images = images.contiguous(memory_format=torch.channels_last)
    graph = quantizable(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def dense() -> None:
        with torch.no_grad():
            for batch in images.split(DENSE_BATCH):
                graph(batch)

    forward, hessians = seconds(dense), seconds(lambda: input_hessians(graph, network.layers, images))
    moments = input_hessians(graph, network.layers, images)

    def sweep() -> None:
        for name in network.layers:
            layer = DenseLayer(network.layer(name).weight.detach(), moments[name])
            rows, inputs = (torch.ones(n, dtype=torch.bool) for n in layer.weight.shape[:2])
            count = stages_of(layer, rows, inputs, Pruning("element", 1.0, "obs"))
            for keep in SPARSITIES:
                kind = "none" if keep == 1.0 else "element"
                compress(layer, rows, inputs, Pruning(kind, keep, "obs"), range(2, 9), count=count)

    yield f"dense forward of {len(images)} images: {forward:.2f} s"
    yield f"Hessians of the same: {hessians:.2f} s, {hessians / forward:.1f}x"
    yield f"sweep, {7 * len(SPARSITIES)} options a layer: {seconds(sweep):.2f} s"
    yield f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"


def seconds(function: Callable[[], object]) -> float:
    """Processor time of the fastest of three calls, which waits for no other process's."""
    times = []
    for _ in range(3):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="cifar_resnet20")
    parser.add_argument("--weights", required=True, help="safetensors file")
    parser.add_argument("--data", required=True, help="such as cifar10:DIR")
    parser.add_argument("--defaults", action="store_true", help="what each default of the repair is worth")
    parser.add_argument("--speed", action="store_true", help="time and memory of the bank")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--tiers", nargs="+", default=["t0", "t1", "t2"], help="such as t1 t2 t2:1800")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    module, card = build(arguments.network, arguments.weights)
    network = trace(module, torch.zeros(1, *card.input_shape), name=card.name)
    rows = speed_rows if arguments.speed else default_rows if arguments.defaults else repaired_rows
    for row in rows(network, card, load_data(arguments.data), arguments.settings, arguments.tiers):
        print(row, flush=True)


if __name__ == "__main__":
    main()
