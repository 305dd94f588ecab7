"""Moments of a layer's outputs from those of its dense inputs, without running the network.

With input mean mu and covariance C = H - mu mu^T, outputs w x + b have mean w mu + b and variance w C w^T. Matching
them to the dense layer's corrects what a layer does by itself, not what it inherits from the layers before it.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlcompress.compensation.moments import Moments
from rlcompress.network.layers import WeightedLayer, weighted

_CHUNK = 32  # images a forward pass


@torch.no_grad()
def input_means(network: nn.Module, layers: Iterable[str], images: Tensor) -> dict[str, Tensor]:
    """Mean over images and positions of what a weight row sees: layer name -> [G, D], as `input_hessians` orders it."""
    means: dict[str, Tensor] = {}
    handles = []

    def record(name: str, layer: WeightedLayer) -> None:
        def hook(_module: nn.Module, inputs: tuple[Tensor]) -> None:
            share = len(inputs[0]) / len(images)
            means[name] = means.get(name, 0) + share * _mean_column(layer, inputs[0].mean(0, keepdim=True))

        handles.append(layer.register_forward_pre_hook(hook))

    try:
        for name in layers:
            record(name, weighted(network, name))
        for chunk in images.split(_CHUNK):
            network(chunk)
    finally:
        for handle in handles:
            handle.remove()
    return means


def _mean_column(layer: WeightedLayer, image: Tensor) -> Tensor:
    """[G, D] of the mean image [1, C, H, W], which has the same column mean as the images."""
    if isinstance(layer, nn.Linear):
        return image
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(image, layer._reversed_padding_repeated_twice, mode)
    return F.unfold(padded, layer.kernel_size, layer.dilation, 0, layer.stride).mean(2).view(layer.groups, -1)


def local_moments(weight: Tensor, bias: Tensor, hessian: Tensor, mean: Tensor) -> Moments:
    """Moments of a layer's outputs on the dense network's inputs.

    Args:
        weight: [K, C / G, R, S] or [K, C].
        bias: [K].
        hessian: [G, D, D] second moments of the inputs.
        mean: [G, D] their means.
    """
    rows = weight.reshape(len(hessian), -1, hessian.shape[1])
    covariance = hessian - mean[:, :, None] * mean[:, None]
    variance = ((rows @ covariance) * rows).sum(2).flatten().clamp_min(0.0)
    return Moments((rows @ mean[..., None]).flatten() + bias, variance.sqrt())
