"""BatchNorm correction by the paired difference to the dense network.

Replacing BatchNorm statistics by those of the compressed network loses points, because a few hundred images estimate
them badly. The *difference* between the compressed and the dense network on the same images is estimated well by a
few dozen: the compressed layer's outputs are shifted and scaled per channel until their mean and variance are the
dense layer's. With BatchNorm folded this is one gain and one bias a channel, so networks without BatchNorm profit too.
(Follows the bias and variance correction of Nagel et al., ICCV 2019, and Finkelstein et al., 2019, with paired images.)
A channel that few images excite, one class's say, may vary little on those few dozen; what it then varies by is the
noise of compression, and a gain fitted to it would shrink what it says when it matters. `Moments.unseen` keeps the gain
near 1 there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from rlcompress.network.layers import WeightedLayer, bias_of, column
from rlcompress.quantization import integer_weight

_GAIN_LIMITS = (0.5, 2.0)  # beyond these a channel is too damaged for its variance to be trusted


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation of a layer's outputs over images and positions.

    Attributes:
        mean: [K].
        std: [K].
        unseen: [K] variance that further images show beyond that of these; 0.0 where none are known.
    """

    mean: Tensor
    std: Tensor
    unseen: Tensor | float = 0.0

    def with_unseen(self, more: Self) -> Self:
        """The same, knowing the moments of the same outputs on more images."""
        return replace(self, unseen=(more.std.square() - self.std.square()).clamp_min(0.0))

    @classmethod
    def of(cls, output: Tensor) -> "Moments":
        """Moments of an output [N, K] or [N, K, P, Q]."""
        rows = output.movedim(1, -1).reshape(-1, output.shape[1])  # a view of channels_last outputs
        mean = rows.mean(0)
        variance = (rows - mean).square_().mean(0)  # an order of magnitude faster than torch.var_mean
        return cls(mean, variance.sqrt())


@torch.no_grad()
def output_moments(network: nn.Module, layers: Iterable[str], images: Tensor) -> dict[str, Moments]:
    """Moments of the named layers' outputs on images [N, C, H, W]."""
    moments: dict[str, Moments] = {}

    def record(name: str) -> None:
        layer = network.get_submodule(name)
        handles.append(layer.register_forward_hook(lambda _m, _i, out: moments.__setitem__(name, Moments.of(out))))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for name in layers:
            record(name)
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return moments


@torch.no_grad()
def match_moments(network: nn.Module, reference: Mapping[str, Moments], images: Tensor) -> None:
    """Shift and scale the outputs of a compressed network's layers to the dense network's moments, in place.

    One forward pass corrects the layers in execution order, each on the corrected outputs of those before it.
    Channels whose output is constant are only shifted; removed ones (weights and bias zero) are left alone.

    Args:
        network: the compressed network; its named layers are `nn.Conv2d` or `nn.Linear` with a bias.
        reference: layer name -> moments of the dense network on the same images.
        images: [N, C, H, W].
    """
    handles = []
    try:
        for name, moments in reference.items():
            layer = network.get_submodule(name)
            handles.append(layer.register_forward_hook(lambda m, _i, out, target=moments: _match(m, out, target)))
        network(images)
    finally:
        for handle in handles:
            handle.remove()


def _match(layer: nn.Module, output: Tensor, target: Moments) -> Tensor:
    assert isinstance(layer, WeightedLayer)
    gain, shift = affine_to(Moments.of(output), target, removed_outputs(layer))
    rescale(layer, gain, shift)
    return output * column(gain, output, dim=1) + column(shift, output, dim=1)


def rescale(layer: WeightedLayer, gain: Tensor, shift: Tensor) -> None:
    """Let a layer multiply its outputs by a gain and add a shift, each [K], in place; its codes stay."""
    layer.weight.mul_(column(gain, layer.weight, dim=0))
    weight = integer_weight(layer)
    if weight is not None:
        weight.scale.mul_(gain)
    bias_of(layer).mul_(gain).add_(shift)


def affine_to(have: Moments, want: Moments, removed: Tensor) -> tuple[Tensor, Tensor]:
    """Per-channel gain and shift [K] that turn one set of moments into another; 1 and 0 where ``removed``.

    Variance that further images show (``want.unseen``) counts as kept by the compressed layer, so that the gain is
    nearer to 1 the less of a channel these images have shown.
    """
    wanted, had = ((of.std.square() + want.unseen).sqrt() for of in (want, have))
    gain = torch.where(have.std > 0, wanted / had, 1.0).clamp(*_GAIN_LIMITS)
    shift = want.mean - have.mean * gain
    return torch.where(removed, 1.0, gain), torch.where(removed, 0.0, shift)


def removed_outputs(layer: WeightedLayer) -> Tensor:
    """[K] whether an output channel has neither weights nor a bias left."""
    return (layer.weight.flatten(1) == 0).all(1) & (bias_of(layer) == 0)
