"""What clustered weights keep and save beside uniform ones of as many bits, at equal settings in every layer.

    python -m benchmarks.clustering --network cifar_resnet20 --weights W.safetensors --data cifar10:DIR

Prints a row for each width of the weights (activations, the first and the last layer at 8 bits) and both quantizers:
the metric and the clipped KL divergence on the search images (training images) of the final network of ``--repair``,
executed in integers, and energy and stored weights on accelerators that store indices; nothing where they store none of
that width.
"""

import argparse
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from rlcompress import hw_models
from rlcompress.candidates import TIERS, Candidates, calibration_images
from rlcompress.data import DataSplits, load_data
from rlcompress.evaluation import Evaluator
from rlcompress.hw_models import HardwareModel
from rlcompress.integer import lower
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import TracedNetwork, trace
from rlcompress.network.weights import build
from rlcompress.spec import WEIGHT_QUANTIZERS, LayerChoice

BITS = (5, 4, 3, 2)


def choices(network: TracedNetwork, bits: int, quantizer: str, granularity: str, keep: float) -> dict[str, LayerChoice]:
    """The same choice in every layer but the first and the last, which keep 8 bits."""
    ends = (next(iter(network.layers)), list(network.layers)[-1])
    inner = LayerChoice(weight_bits=bits, weight_quantizer=quantizer, granularity=granularity, keep_ratio=keep)
    return {name: LayerChoice() if name in ends else inner for name in network.layers}


def rows(
    network: TracedNetwork,
    card: NetworkCard,
    data: DataSplits,
    repair: str,
    keep: float,
    accelerators: Sequence[HardwareModel],
) -> Iterator[str]:
    def load() -> Tensor:
        return data.calibration.normalized(slice(None), card.mean, card.std)

    bank = Candidates(network, calibration_images(network, repair, card, load), repair=repair)
    network = network.with_densities(bank.densities)
    evaluator = Evaluator(network.graph, data.search, card)
    names = " | ".join(f"{model.name}: uJ, kB" for model in accelerators)
    yield f"| weights | {evaluator.metric.label} | 1000 x KL | {names} |\n|---|---|---|{'---|' * len(accelerators)}"
    yield f"| dense fp32 | {evaluator.dense.metric:.2f} | |{' |' * len(accelerators)}"
    granularity = "none" if keep == 1.0 else "element"
    settings = [("uniform", 8), *((quantizer, bits) for bits in BITS for quantizer in WEIGHT_QUANTIZERS)]
    for quantizer, bits in settings:
        policy = choices(network, bits, quantizer, granularity, keep)
        score = evaluator.score(lower(bank.final(policy)))
        assert score.kl is not None
        cells = [cost_cell(model, network, policy) for model in accelerators]
        yield f"| W{bits} {quantizer} | {score.metric:.2f} | {1000 * score.kl:.1f} | {' | '.join(cells)} |"


def cost_cell(model: HardwareModel, network: TracedNetwork, policy: dict[str, LayerChoice]) -> str:
    """Energy and stored weights, or nothing where the accelerator stores no such indices."""
    if any(c.weight_quantizer == "clustered" and c.weight_bits > model.widest_index for c in policy.values()):
        return ""
    cost = model.cost(network.structure, policy)
    return f"{cost.energy_uj:.1f}, {sum(layer.stored_weight_bits for layer in cost.layers) / 8e3:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="cifar_resnet20")
    parser.add_argument("--weights", required=True, help="safetensors file")
    parser.add_argument("--data", required=True, help="such as cifar10:DIR")
    parser.add_argument("--repair", choices=TIERS, default="t1")
    parser.add_argument("--keep", type=float, default=1.0, help="keep ratio of element pruning; 1 for none")
    parser.add_argument("--hardware", nargs="+", default=["ethosu55_256", "sparse_skip"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    module, card = build(arguments.network, arguments.weights)
    network = trace(module, torch.zeros(1, *card.input_shape), name=card.name)
    models = [hw_models.load(name) for name in arguments.hardware]
    for row in rows(network, card, load_data(arguments.data), arguments.repair, arguments.keep, models):
        print(row, flush=True)


if __name__ == "__main__":
    main()
