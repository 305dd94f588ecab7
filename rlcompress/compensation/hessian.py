"""Second moments of layers' inputs, the Hessians of the layer-wise least-squares problem."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlcompress.network.layers import WeightedLayer, weighted

_CHUNK = 32  # images a forward pass; bounds the memory that unfolded inputs take


@torch.no_grad()
def input_hessians(network: nn.Module, layers: Iterable[str], images: Tensor) -> dict[str, Tensor]:
    """H = X X^T of each layer, X holding one column a position and image of the inputs that a weight row sees.

    Args:
        network: the dense network.
        layers: names of `nn.Conv2d` or `nn.Linear` modules.
        images: [N, C, H, W].

    Returns:
        Layer name -> [G, D, D] float32 for G groups, D = C / G * R * S in the order of the flattened weight; scaled
        to the mean over columns.
    """
    hessians: dict[str, Tensor] = {}
    columns: dict[str, int] = {}
    handles = []

    def record(name: str, layer: WeightedLayer) -> None:
        def hook(_module: nn.Module, inputs: tuple[Tensor]) -> None:
            x = _grouped_columns(layer, inputs[0])
            hessians[name] = hessians.get(name, 0) + x @ x.transpose(1, 2)
            columns[name] = columns.get(name, 0) + x.shape[2]

        handles.append(layer.register_forward_pre_hook(hook))

    try:
        for name in layers:
            record(name, weighted(network, name))
        for chunk in images.split(_CHUNK):
            network(chunk)
    finally:
        for handle in handles:
            handle.remove()
    return {name: hessian / columns[name] for name, hessian in hessians.items()}


def _grouped_columns(layer: WeightedLayer, x: Tensor) -> Tensor:
    """Inputs as [G, D, columns]."""
    if isinstance(layer, nn.Linear):
        return x.T[None]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(x, layer._reversed_padding_repeated_twice, mode)  # resolves "same", too
    patches = F.unfold(padded, layer.kernel_size, layer.dilation, 0, layer.stride)
    per_group = patches.unflatten(1, (layer.groups, -1))
    return per_group.permute(1, 2, 0, 3).flatten(2)
