"""What the command line says about a network's input."""

from functools import partial
from typing import TYPE_CHECKING

from rlcompress.errors import NetworkError
from rlcompress.network.cards import InputFormat

if TYPE_CHECKING:
    from pathlib import Path

    from torch import fx

    from rlcompress.data import DataSplits
    from rlcompress.network.cards import NetworkCard
    from rlcompress.network.trace import TracedNetwork
    from rlcompress.spec import CompressionPolicy


def input_format(
    network: str, shape: str | None = None, mean: str | None = None, std: str | None = None,
    data: "DataSplits | None" = None,
) -> InputFormat:  # fmt: skip
    """Read ``--input-shape``, ``--mean`` and ``--std``; a user's own network takes images as the data has them.

    Raises:
        NetworkError: a value that cannot be read.
    """
    parsed = None if shape is None else parsed_shape(shape)
    if parsed is None and data is not None and ":" in network:
        channels, height, width = data.search.images.shape[1:]
        parsed = (channels, height, width)
    return InputFormat(shape=parsed, mean=_numbers(mean, "--mean", 0.0), std=_numbers(std, "--std", 1e-6))


def parsed_shape(text: str) -> tuple[int, int, int]:
    """Read C,H,W.

    Raises:
        NetworkError: it is something else.
    """
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise NetworkError(f"input shape {text!r} is not C,H,W; write for example 3,32,32")
    channels, height, width = (int(part) for part in parts)
    return channels, height, width


def _numbers(text: str | None, option: str, least: float) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise NetworkError(f"{option} {text!r} holds no numbers; write for example {option} 0.48,0.45,0.41") from None
    if not all(least <= value <= 255 for value in values):
        raise NetworkError(f"{option} {text!r}: values are on the scale of images from 0 to 1, one a channel")
    return values


def final_network(
    network: "TracedNetwork",
    card: "NetworkCard",
    policy: "CompressionPolicy",
    data: "DataSplits",
    repair: str | None,
    cache: "Path | None",
) -> "fx.GraphModule":
    """The network that a policy describes, repaired as it was when it was searched unless another tier is asked for."""
    from rlcompress.candidates import Candidates, calibration_images

    tier = repair or str(policy.metrics.get("repair", "t1"))
    images = calibration_images(
        network, tier, card, lambda: data.calibration.normalized(slice(None), card.mean, card.std)
    )
    rounded, further = network.with_round_to(policy.round_to), partial(data.learning, card.mean, card.std)
    return Candidates(rounded, images, learning=further, repair=tier, cache=cache).final(policy.choices)
