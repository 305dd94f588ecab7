"""Importance criteria: how much each weight matters."""

from collections.abc import Callable

from torch import Tensor

Criterion = Callable[[Tensor], Tensor]


def l1(weight: Tensor) -> Tensor:
    """|w| (Han et al., NeurIPS 2015), same shape."""
    return weight.abs()


def l2(weight: Tensor) -> Tensor:
    """w^2, same shape; differs from `l1` once scores are summed over channels."""
    return weight.square()


CRITERIA: dict[str, Criterion] = {"l1": l1, "l2": l2}
"""Name -> criterion: weight [K, ...] with BatchNorm folded -> importance of the same shape."""
