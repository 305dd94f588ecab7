"""Images made up from what a network remembers of its training images, for data that must not be looked at.

After Yin et al., "Dreaming to distill" (DeepInversion, CVPR 2020) and Cai et al., "ZeroQ" (CVPR 2020): gradient descent
on the pixels until the moments of each layer's outputs are those that BatchNorm has kept.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from rlcompress.compensation.moments import Moments

IMAGES = 256
_BATCH = 64
_STEPS = 150
_RATE = 0.02  # of Adam, in units of the pixel range
_BRIGHTNESS, _CONTRAST = 0.45, 0.25  # of natural images, as shares of the pixel range
_COLOUR = 0.35  # of a channel's own variation beside the one that all share
_TINY = 1e-6


def synthetic_images(
    network: nn.Module,
    kept: Mapping[str, Moments],
    shape: tuple[int, int, int],
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """Images on which the layers of a network give the moments that BatchNorm has kept; the same at every call.

    They begin as noise with the spectrum of natural images, and stay so where no moments are known.

    Args:
        network: the dense network in eval mode; it is left as it is.
        kept: layer name -> moments of its outputs over the training images.
        shape: (C, H, W) of an image.
        mean: of each channel, on the scale 0 to 1; an input is (pixel - mean) / std.
        std: of each channel, on the same scale.

    Returns:
        [256, C, H, W], normalised.
    """
    generator = torch.Generator().manual_seed(0)
    centre, spread = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
    batches = [_natural_noise(_BATCH, shape, generator) for _ in range(IMAGES // _BATCH)]
    if kept:
        batches = [_fitted(network, kept, pixels, centre, spread) for pixels in batches]
    return (torch.cat(batches) - centre) / spread


def _natural_noise(count: int, shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """Random pixels [N, C, H, W] from 0 to 1 whose amplitude falls with the inverse of the frequency (Field 1987)."""
    channels, height, width = shape
    own = torch.randn(count, channels, height, width, generator=generator)
    shared = torch.randn(count, 1, height, width, generator=generator)
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    frequency = (down.square() + across.square()).sqrt().clamp_min(1.0 / max(height, width))
    noise = torch.fft.irfft2(torch.fft.rfft2(shared + _COLOUR * own) / frequency, s=(height, width))
    return (_BRIGHTNESS + _CONTRAST * noise / noise.std()).clamp_(0.0, 1.0)


@torch.enable_grad()
def _fitted(network: nn.Module, kept: Mapping[str, Moments], start: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Pixels moved by Adam until the moments fit."""
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    seen: dict[str, Tensor] = {}
    handles = [network.get_submodule(name).register_forward_hook(_recorder(seen, name)) for name in kept]
    try:
        for _ in range(_STEPS):
            network(((pixels - mean) / std).contiguous(memory_format=torch.channels_last))
            distance = torch.stack([_distance(seen[name], moments) for name, moments in kept.items()])
            (pixels.grad,) = torch.autograd.grad(distance.mean(), [pixels])
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                pixels.clamp_(0.0, 1.0)
    finally:
        for handle in handles:
            handle.remove()
    return pixels.detach()


def _recorder(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
    return lambda _module, _inputs, output: seen.__setitem__(name, output.clone())  # ReLU may overwrite it


def _distance(output: Tensor, want: Moments) -> Tensor:
    """Squared differences of means and deviations, in units of the deviations, averaged over channels."""
    rows = output.movedim(1, -1).reshape(-1, output.shape[1])  # a view of channels_last outputs
    mean = rows.mean(0)
    scale = want.std + _TINY
    deviation = ((rows - mean).square().mean(0) + _TINY**2).sqrt()  # has a gradient where nothing varies
    return (((mean - want.mean) / scale).square() + ((deviation - want.std) / scale).square()).mean()
