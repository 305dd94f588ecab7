"""Write a mixed policy drawn by chance, to hold exported files against what rlcompress scores.

    python -m benchmarks.mixed_policy --network mobilenet_v2 --seed 0 policy.json

Every layer gets 5 to 8 bits for weights and 7 or 8 for activations, the first and the last 8; a third of the layers
keep 80 % of their weights.
"""

import argparse
from pathlib import Path

import numpy as np

from rlcompress.network.spec_cards import built_in_specs
from rlcompress.planning import ChoiceSpace
from rlcompress.spec import (
    GRANULARITIES,
    ChoiceBatch,
    CompressionPolicy,
    NetworkReference,
    NetworkStructure,
    fingerprint,
)


def mixed_policy(network: str, seed: int) -> CompressionPolicy:
    """The policy of a built-in network for a seed."""
    specs = built_in_specs(network)
    structure = NetworkStructure(specs)
    space, draw = ChoiceSpace(structure, granularities=("element",)), np.random.RandomState(seed)
    shape = (1, len(space.layers))
    pruned = draw.permutation(shape[1])[None] < shape[1] // 3
    policy = ChoiceBatch(
        np.where(pruned, GRANULARITIES.index("element"), GRANULARITIES.index("none")),
        np.where(pruned, 0.8, 1.0),
        draw.randint(5, 9, shape),
        draw.randint(7, 9, shape),
    )
    choices = space.snapped(policy).choices(0, structure.layers)
    reference = NetworkReference(name=network, fingerprint=fingerprint(specs))
    return CompressionPolicy.of(choices, network=reference, hardware="scalable_sparse_16x32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", default="mobilenet_v2")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    mixed_policy(arguments.network, arguments.seed).save(arguments.out)


if __name__ == "__main__":
    main()
