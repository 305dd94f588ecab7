"""What repair without retraining keeps, at uniform settings, and what the defaults of the repair are worth.

    python -m benchmarks.repair --network cifar_resnet20 --weights W.safetensors --data cifar10:DIR
    python -m benchmarks.repair --network cifar_resnet20 --weights W.safetensors --data cifar10:DIR --defaults

Prints one row a setting (first and last layer at 8 bits): top-1 on the test images without repair (largest weights
kept, rounded to nearest), with it, and with ranges refined as for a finalist; or, with ``--defaults``, the drop in
points and 1000 x the clipped KL divergence on 2,000 search images (training images) when one default is changed, by
which the defaults are chosen.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rlcompress.candidates import Candidates
from rlcompress.candidates.template import quantizer_name
from rlcompress.data import DataSplits, load_data
from rlcompress.evaluation import Evaluator
from rlcompress.evaluation.evaluator import outputs
from rlcompress.network.cards import NetworkCard
from rlcompress.network.layers import weighted
from rlcompress.network.trace import TracedNetwork, trace
from rlcompress.network.weights import build
from rlcompress.pruning import GRANULARITY_MASKS
from rlcompress.quantization import fit_scale, largest_code
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


def unrepaired(bank: Candidates, choices: dict[str, LayerChoice]) -> nn.Module:
    """Magnitude pruning and rounding to nearest, nothing made up for."""
    network = bank.template()
    for name, choice in choices.items():
        layer = weighted(network, name)
        importance = layer.weight.abs().flatten(2) if layer.weight.dim() == 4 else layer.weight.abs()[..., None]
        mask = GRANULARITY_MASKS[choice.granularity](importance, choice.keep_ratio).view_as(layer.weight)
        weight = layer.weight * mask
        limit, scale = largest_code(choice.weight_bits), fit_scale(weight, choice.weight_bits)
        scale = scale.view(-1, *[1] * (weight.dim() - 1))
        layer.weight.copy_((weight / scale).round().clamp(-limit, limit) * scale)
        quantizer = network.get_submodule(quantizer_name(bank.network.reads[name]))
        quantizer.range = bank.range(name, choice.activation_bits)  # type: ignore[assignment]
    return network


def repaired_rows(
    network: TracedNetwork, card: NetworkCard, data: DataSplits, settings: Sequence[str]
) -> Iterator[str]:
    images = data.test.normalized(slice(None), card.mean, card.std)
    evaluator = Evaluator(network.graph, images, data.test.labels)
    bank = Candidates(network, data.calibration.normalized(slice(None), card.mean, card.std))
    yield "| setting | without repair | T1 | T1, refined |\n|---|---|---|---|"
    yield "| dense fp32" + f" | {evaluator.dense.metric:.2f}" * 3 + " |"
    for setting in settings:
        choices = uniform(network, setting)
        networks = (unrepaired(bank, choices), bank.stitch(choices), bank.refined(choices))
        yield f"| {setting} | {' | '.join(f'{evaluator.score(n).metric:.2f}' for n in networks)} |"


def default_rows(network: TracedNetwork, card: NetworkCard, data: DataSplits, settings: Sequence[str]) -> Iterator[str]:
    images = data.search.normalized(slice(0, SEARCH_IMAGES), card.mean, card.std)
    labels, dense = data.search.labels[:SEARCH_IMAGES], outputs(network.graph, images)
    calibration = data.calibration.normalized(slice(None), card.mean, card.std)
    yield f"| changed | {' | '.join(settings)} |\n|---|{'---|' * len(settings)}"
    for variant in VARIANTS:
        bank, cells = Candidates(network, calibration, **variant), []
        for setting in settings:
            logits = outputs(bank.stitch(uniform(network, setting)), images)
            cells.append(f"{top1(dense, labels) - top1(logits, labels):.2f} / {1000 * clipped_kl(dense, logits):.1f}")
        label = ", ".join(f"{key} {value}" for key, value in variant.items()) or "defaults"
        yield f"| {label} | {' | '.join(cells)} |"


def top1(logits: Tensor, labels: Tensor) -> float:
    """Percent of images whose class is named."""
    return 100.0 * float((logits.argmax(1) == labels).double().mean())


def clipped_kl(dense: Tensor, logits: Tensor) -> float:
    """Mean KL divergence from the dense network's classes, clipped at 1 an image."""
    p, q = dense.log_softmax(1), logits.log_softmax(1)
    return float((p.exp() * (p - q)).sum(1).clamp(0.0, 1.0).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="cifar_resnet20")
    parser.add_argument("--weights", required=True, help="safetensors file")
    parser.add_argument("--data", required=True, help="such as cifar10:DIR")
    parser.add_argument("--defaults", action="store_true", help="what each default of the repair is worth")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    module, card = build(arguments.network, arguments.weights)
    network = trace(module, torch.zeros(1, *card.input_shape), name=card.name)
    rows = default_rows if arguments.defaults else repaired_rows
    for row in rows(network, card, load_data(arguments.data), arguments.settings):
        print(row, flush=True)


if __name__ == "__main__":
    main()
