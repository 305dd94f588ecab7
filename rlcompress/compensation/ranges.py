"""Activation ranges tuned on the network's outputs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from rlcompress.quantization import ActivationRange

_STEP, _STEPS = 1.15, 3  # factor between two ranges that are tried, and how many are to either side of the fitted one
_TUNED = (6, 5, 4, 3)  # bits; wider ranges hardly matter, and what is best for narrower ones is about the same


def tuned_ranges(
    fitted: Mapping[int, ActivationRange], error: Callable[[ActivationRange], float]
) -> dict[int, ActivationRange]:
    """The ranges of one tensor at several widths, each narrowed or widened for the least error of the outputs.

    A range of least error of the tensor itself does not know which of its errors the network forgives (compare Nahshan
    et al., "Loss aware post-training quantization", Machine Learning 2021). From 6 bits down to 3, each begins where
    the one before it ended and goes on for as long as the error falls; 2 bits take what is best for 3. Wider ones, at
    which the range hardly matters, stay.

    Args:
        fitted: bit-width -> range of least error of the tensor itself.
        error: of the network's outputs with a range.
    """
    tuned, place = dict(fitted), 0
    for bits in sorted((bits for bits in fitted if bits <= _TUNED[0]), reverse=True):
        scaled = [replace(fitted[bits], scale=fitted[bits].scale * _STEP**k) for k in range(-_STEPS, _STEPS + 1)]
        if bits in _TUNED:
            place = _lowest(cache(lambda k, scaled=scaled: error(scaled[k + _STEPS])), place)
        tuned[bits] = scaled[place + _STEPS]
    return tuned


def _lowest(value: Callable[[int], float], start: int) -> int:
    """The place from which going either way no longer makes a value smaller."""
    for way in (1, -1):
        place = start
        while abs(place + way) <= _STEPS and value(place + way) < value(place):
            place += way
        if place != start:
            return place
    return start


@torch.no_grad()
def output_error(outputs: Iterable[Tensor], target: Iterable[Tensor]) -> float:
    """Mean squared error of outputs against a target, batches [N, ...] of both."""
    parts = [(float((y - x).square().sum()), x.numel()) for x, y in zip(outputs, target, strict=True)]
    return sum(error for error, _ in parts) / sum(count for _, count in parts)
