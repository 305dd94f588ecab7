"""Which filters stay, for layers whose output channels can only be removed together."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlcompress.spec import keep_count

Classes = Mapping[str, NDArray[np.int64]]
"""Layer name -> [K] class of each output channel, for each layer of a coupling group."""


def voted(importance: Mapping[str, Tensor], classes: Classes) -> dict[int, float]:
    """Class of channels -> its score, the sum over layers of their mean-normalised importance of that output channel.

    Args:
        importance: layer name -> [K, ...], for each layer of the group.
        classes: of the same layers.
    """
    score: dict[int, float] = {}
    for name, scores in importance.items():
        rows = scores.flatten(1).sum(1)
        rows = rows / rows.mean().clamp_min(torch.finfo(rows.dtype).tiny)
        for c, row in zip(classes[name].tolist(), rows.tolist(), strict=True):
            score[c] = score.get(c, 0.0) + row
    return score


def filter_classes(score: Mapping[int, float], classes: Classes, keep_ratio: float, round_to: int = 1) -> set[int]:
    """Choose which channel classes of a coupling group stay.

    Classes that belong to the same layers form a stratum; of each stratum the ``keep_count(size, keep_ratio,
    round_to)`` of highest score stay, so that every layer keeps the same share.

    Args:
        score: of every class.
        classes: of the group's layers.
        keep_ratio: share of the output channels that stays.
        round_to: of each stratum, a multiple of it stays.
    """
    members: dict[int, list[str]] = {}
    for name, own in classes.items():
        for c in own.tolist():
            members.setdefault(c, []).append(name)
    strata: dict[tuple[str, ...], list[int]] = {}
    for c, names in members.items():
        strata.setdefault(tuple(names), []).append(c)
    kept: set[int] = set()
    for stratum in strata.values():
        ranked = sorted(stratum, key=lambda c: (-score[c], c))
        kept.update(ranked[: keep_count(len(stratum), keep_ratio, round_to)])
    return kept
