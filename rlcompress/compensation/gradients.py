"""Gradients of the loss without labels."""

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlcompress.errors import RunError
from rlcompress.network.layers import weighted

_BATCH = 16  # images a gradient is taken over before it is squared


@torch.enable_grad()
def loss_gradients(network: nn.Module, layers: Iterable[str], images: Tensor) -> dict[str, Tensor]:
    """Root mean square, over batches of 16 images, of the gradients of the cross-entropy to the network's own classes.

    Args:
        network: the dense network, whose output is [N, classes]; it is left as it is.
        layers: names of `nn.Conv2d` or `nn.Linear` modules.
        images: [N, C, H, W].

    Returns:
        Layer name -> tensor of its weight's shape.

    Raises:
        RunError: the network does not give class scores.
    """
    network = copy.deepcopy(network)
    weights = {name: weighted(network, name).weight.requires_grad_() for name in layers}
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    batches = images.split(_BATCH)
    for batch in batches:
        scores = network(batch)
        if scores.dim() != 2:
            raise RunError("gradients of the loss want a network that gives class scores; choose another criterion")
        loss = F.cross_entropy(scores, scores.argmax(1))
        gradients = torch.autograd.grad(loss, list(weights.values()))
        for name, gradient in zip(weights, gradients, strict=True):
            squares[name] += gradient.square() / len(batches)
    return {name: square.sqrt() for name, square in squares.items()}
