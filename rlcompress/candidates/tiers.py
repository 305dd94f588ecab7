"""The tiers of repair, by what they look at and what they take."""

import re
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


_STEPS = 600  # of learned rounding
_TIER = re.compile(r"(?P<name>[a-z0-9]+)(?::(?P<steps>[1-9][0-9]{0,5}))?")


def check_tier(repair: str) -> None:
    """Check a tier: a name of `TIERS`, or ``t2:1800`` for another number of steps of learned rounding than 600.

    Raises:
        RunError: it is unknown.
    """
    match = _TIER.fullmatch(repair)
    if match is None or match["name"] not in TIERS or (match["steps"] and match["name"] != "t2"):
        raise RunError(f"unknown repair {repair!r}; choose from {', '.join(TIERS)}, or t2:STEPS such as t2:1800")


def tier_name(repair: str) -> str:
    """The name in `TIERS` of a tier.

    >>> tier_name("t2:1800")
    't2'
    """
    return repair.partition(":")[0]


def learning_steps(repair: str) -> int:
    """Steps of learned rounding that a tier takes a network; 0 where none is learned.

    >>> learning_steps("t1"), learning_steps("t2"), learning_steps("t2:1800")
    (0, 600, 1800)
    """
    name, _, steps = repair.partition(":")
    return int(steps or _STEPS) if name == "t2" else 0


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
