"""What activation ranges and densities are taken from: samples of a network's stored tensors."""

import math
from collections import defaultdict

import torch
from torch import Tensor, fx

from rlcompress.candidates.checks import check_activations
from rlcompress.candidates.template import StoredTensors

_VALUES = 32768  # per tensor that activation ranges are fitted on
_CHUNK = 16  # images a forward pass, which bounds its memory


@torch.no_grad()
def stored_samples(graph: fx.GraphModule, names: set[str], images: Tensor) -> dict[str, Tensor]:
    """For each stored tensor values that are evenly spread over the images, and the share of all that is not zero.

    Args:
        graph: the dense network.
        names: of the stored tensors.
        images: [N, C, H, W].

    Returns:
        ``values NAME``, float32 [M], and ``density NAME``, float64 scalar.

    Raises:
        DataError: a tensor has values that are not finite or too large.
    """
    samples: dict[str, list[Tensor]] = defaultdict(list)
    nonzero: dict[str, float] = defaultdict(float)

    def keep(name: str, values: Tensor) -> None:
        check_activations(name, values)
        samples[name].append(_spread(values, first, len(images)))
        nonzero[name] += int(values.count_nonzero()) / values[0].numel()

    run = StoredTensors(graph, names, keep)
    for first in range(0, len(images), _CHUNK):
        run.run(images[first : first + _CHUNK])
    values = {f"values {name}": torch.cat(parts) for name, parts in samples.items()}
    counts = torch.tensor(list(nonzero.values()), dtype=torch.float64)
    return values | {f"density {name}": share for name, share in zip(nonzero, counts / len(images), strict=True)}


def _spread(values: Tensor, first: int, images: int) -> Tensor:
    """The part of evenly spread values over all images that lies in those from ``first`` on; no copy of the tensor."""
    size = values[0].numel()
    step = max(1, images * size // _VALUES)
    while math.gcd(step, size) > 1:  # else only some columns or channels would be seen
        step -= 1
    positions = torch.arange(-first * size % step, values.numel(), step)
    return values[torch.unravel_index(positions, values.shape)]
