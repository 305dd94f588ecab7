"""Moments of a layer's outputs from those of its dense inputs, without running the network.

With input mean mu and covariance C = H - mu mu^T, outputs w x + b have mean w mu + b and variance w C w^T. Matching
them to the dense layer's corrects what a layer does by itself, not what it inherits from the layers before it.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from rlcompress.compensation.moments import Moments
from rlcompress.network.layers import WeightedLayer


class InputMeans:
    """Means over images and positions of what weight rows see, as `visit_inputs` shows the inputs."""

    def __init__(self) -> None:
        self._layers: dict[str, WeightedLayer] = {}
        self._sums: dict[str, Tensor] = {}
        self._images: dict[str, int] = {}

    def add(self, name: str, layer: WeightedLayer, x: Tensor, _number: int, _chunks: int) -> None:
        """Take in the inputs of a layer on one chunk of several."""
        total = _sum_of_images(x)
        self._layers[name] = layer
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._images[name] = self._images.get(name, 0) + len(x)

    def result(self) -> dict[str, Tensor]:
        """Layer name -> [G, D], in the order of `input_hessians`."""
        return {
            name: _mean_column(layer, self._sums[name] / self._images[name]) for name, layer in self._layers.items()
        }


def _sum_of_images(x: Tensor) -> Tensor:
    """[1, ...] the sum over the first dimension, as a matrix product (ten times as fast in channels_last)."""
    order = sorted(range(1, x.dim()), key=x.stride, reverse=True)  # as they lie in memory, so that nothing is copied
    stored = x.permute(0, *order)
    total = x.new_ones(1, len(x)) @ stored.flatten(1)
    return total.view(1, *stored.shape[1:]).permute(0, *(1 + order.index(dim) for dim in range(1, x.dim())))


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
