"""`Judge`: how far compressed networks are from the dense one."""

from collections.abc import Iterable

import torch
from torch import Tensor, fx

from rlcompress.compensation import output_error
from rlcompress.integer import engine_named, lower
from rlcompress.memory import FLOAT_BYTES, images_at_once


class Judge:
    """Compares compressed networks with the dense one, which runs once.

    Args:
        dense: the network.
        images: [N, C, H, W] to compare on.
    """

    @torch.no_grad()
    def __init__(self, dense: fx.GraphModule, images: Tensor) -> None:
        self.batches = image_batches(images, engine_named("auto").code_type.itemsize)
        """The images as compressed networks run on them."""
        self._target = [dense(batch) for batch in image_batches(images)]

    def error(self, network: fx.GraphModule) -> float:
        """Mean squared error of what a compressed network gives in integers against the dense network's outputs."""
        return self.error_of(map(lower(network), self.batches))

    def error_of(self, outputs: Iterable[Tensor]) -> float:
        """The same of outputs, added up in the target's batches, so that it does not depend on the engine's."""
        parts = (part for batch in outputs for part in batch.split(len(self._target[0])))
        return output_error(parts, self._target)


def image_batches(images: Tensor, size: int = FLOAT_BYTES) -> list[Tensor]:
    """Images [N, C, H, W] in parts, channels_last, for stored numbers of so many bytes."""
    batches = images.split(images_at_once(images[0].numel(), size))
    return [batch.contiguous(memory_format=torch.channels_last) for batch in batches]
