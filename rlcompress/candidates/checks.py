"""What the bank refuses, with the mend."""

import torch
from torch import Tensor

from rlcompress.errors import DataError, PolicyError
from rlcompress.network.trace import TracedNetwork
from rlcompress.spec import FIXED_KEEP_RATIOS, GRANULARITIES, LayerChoice, LayerSpec, applies


@torch.no_grad()
def check_calibration(network: TracedNetwork, images: Tensor) -> None:
    """Check that images can tell something of what a network's layers see.

    Raises:
        DataError: there are none, the network does not take their shape, or all of them are of one colour.
    """
    if len(images) == 0:
        raise DataError("calibration set is empty; give at least one training image")
    problem = DataError(
        f"calibration images have shape {tuple(images.shape[1:])}, but {network.name} takes {network.input_shape}; "
        "give images as the network was traced with"
    )
    if images.dim() != 4 or images.shape[1] != network.input_shape[0]:
        raise problem
    try:
        network.graph(images[:1])
    except RuntimeError:  # a size that a linear layer or a reshape does not fit
        raise problem from None
    if images[0, 0].numel() > 1 and bool((images == images[:1, :, :1, :1]).all()):
        raise DataError("calibration images are all of one colour; give training images")


def check_applies(spec: LayerSpec, choice: LayerChoice) -> None:
    """Check that a layer can be pruned as a choice says.

    Raises:
        PolicyError: its shape does not allow the granularity, or the granularity not the keep ratio.
    """
    name, fixed = choice.granularity, FIXED_KEEP_RATIOS.get(choice.granularity)
    if not applies(name, spec):
        fitting = ", ".join(g for g in GRANULARITIES if applies(g, spec))
        raise PolicyError(f"layer {spec.name!r}: its shape cannot be pruned by {name!r}; choose from {fitting}")
    if fixed is not None and choice.keep_ratio not in fixed:
        ratios = " or ".join(map(str, fixed))
        raise PolicyError(
            f"layer {spec.name!r}: {name!r} keeps {ratios}, not {choice.keep_ratio}; set keep_ratio to it"
        )
