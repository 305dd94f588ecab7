"""What the bank refuses, with the mend."""

from collections.abc import Mapping

import torch
from torch import Tensor

from rlcompress.errors import DataError, NetworkError
from rlcompress.network.trace import TracedNetwork

_LARGEST = 1e12  # activation whose third power, which ranges are fitted by, is finite in float32


def check_weights(network: TracedNetwork) -> None:
    """Check that every layer's weights and bias are finite.

    Raises:
        NetworkError: some are not; the message names the layer.
    """
    for name in network.layers:
        layer = network.layer(name)
        if not all(bool(part.isfinite().all()) for part in (layer.weight, layer.bias) if part is not None):
            raise NetworkError(f"layer {name!r}: its weights are not finite; give the trained network's weights")


def check_hessians(hessians: Mapping[str, Tensor]) -> None:
    """Check that second moments of layers' inputs [G, D, D] are numbers that float32 can compute with.

    Raises:
        DataError: some are not; the message names the layer.
    """
    for name, hessian in hessians.items():
        if not bool((hessian.diagonal(dim1=1, dim2=2) <= _LARGEST**2).all()):  # NaN is not either
            raise DataError(
                f"layer {name!r}: calibration images give inputs that are not finite or beyond {_LARGEST:g}; check "
                "weights and mean/std"
            )


def check_activations(name: str, values: Tensor) -> None:
    """Check the values of a stored tensor.

    Raises:
        DataError: one is not finite or too large for float32 to compute with.
    """
    least, most = values.aminmax()
    if not (least >= -_LARGEST and most <= _LARGEST):
        raise DataError(
            f"calibration images give values that are not finite or beyond {_LARGEST:g} at {name!r}; check weights "
            "and mean/std"
        )


@torch.no_grad()
def check_calibration(network: TracedNetwork, images: Tensor) -> None:
    """Check that images can tell something of what a network's layers see.

    Raises:
        DataError: there are none, the network does not take their shape, or all of them are of one colour or not
            finite.
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
    if not bool(images.isfinite().all()):
        raise DataError("calibration images are not finite; check the data and its mean and std")
    if images[0, 0].numel() > 1 and bool((images == images[:1, :, :1, :1]).all()):
        raise DataError("calibration images are all of one colour; give training images")
