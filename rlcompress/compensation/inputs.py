"""One pass over the inputs of a network's layers."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from rlcompress.network.layers import WeightedLayer, weighted

_CHUNK = 32  # images a forward pass; bounds the memory that what looks at the inputs takes

Visit = Callable[[str, WeightedLayer, Tensor, int, int], None]
"""(layer's name, layer, its inputs on one chunk of the images, number of the chunk, chunks) -> nothing."""


@torch.no_grad()
def visit_inputs(network: nn.Module, layers: Iterable[str], images: Tensor, *visits: Visit) -> None:
    """Run a network and show the inputs of its layers, chunk by chunk.

    Args:
        network: in eval mode.
        layers: names of `nn.Conv2d` or `nn.Linear` modules.
        images: [N, C, H, W].
        visits: called for every layer and chunk.
    """
    handles = []
    chunks = images.split(_CHUNK)

    def watch(name: str, layer: WeightedLayer) -> None:
        def hook(_module: nn.Module, inputs: tuple[Tensor]) -> None:
            for visit in visits:
                visit(name, layer, inputs[0], number, len(chunks))

        handles.append(layer.register_forward_pre_hook(hook))

    try:
        for name in layers:
            watch(name, weighted(network, name))
        for number, chunk in enumerate(chunks):  # noqa: B007  # read by the hooks
            network(chunk)
    finally:
        for handle in handles:
            handle.remove()
