"""The tiers of repair, by what they look at and what they take."""

from collections.abc import Callable

from torch import Tensor

from rlcompress.compensation import Moments, synthetic_images
from rlcompress.errors import RunError
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import TracedNetwork

TIERS = {
    "t0": "closed form on synthetic images, no data",
    "t1": "closed form on unlabelled calibration images",
    "t2": "t1, and learned rounding of the policies that are kept",
    "none": "nothing: weights that stay keep their values and are rounded to the nearest code",
}
"""Name on the command line -> what it is."""


def check_tier(repair: str) -> None:
    """Check the name of a tier.

    Raises:
        RunError: it is unknown.
    """
    if repair not in TIERS:
        raise RunError(f"unknown repair {repair!r}; choose from {', '.join(TIERS)}")


def calibration_images(network: TracedNetwork, repair: str, card: NetworkCard, load: Callable[[], Tensor]) -> Tensor:
    """The images that a tier's repair may look at, normalised: [N, C, H, W].

    Args:
        network: the traced network.
        repair: name of the tier.
        card: its normalisation.
        load: gives calibration images; tier ``t0`` does not call it.

    Raises:
        RunError: the tier is unknown.
    """
    check_tier(repair)
    if repair != "t0":
        return load()
    kept = {name: Moments(*moments) for name, moments in network.moments.items()}
    return synthetic_images(network.graph, kept, network.input_shape, card.mean, card.std)
