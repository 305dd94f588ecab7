"""Layers that hold weights."""

from torch import Tensor, nn

WeightedLayer = nn.Conv2d | nn.Linear


def weighted(network: nn.Module, name: str) -> WeightedLayer:
    """The convolution or linear layer of a name."""
    layer = network.get_submodule(name)
    assert isinstance(layer, WeightedLayer)
    return layer


def bias_of(layer: WeightedLayer) -> Tensor:
    """The bias [K] of a layer that has one."""
    assert layer.bias is not None
    return layer.bias


def column(per_channel: Tensor, like: Tensor, dim: int) -> Tensor:
    """[K] -> a shape that broadcasts over dimension ``dim`` of ``like``.

    >>> import torch
    >>> column(torch.ones(3), torch.ones(2, 3, 4, 4), dim=1).shape
    torch.Size([1, 3, 1, 1])
    """
    shape = [1] * like.dim()
    shape[dim] = -1
    return per_channel.view(shape)
