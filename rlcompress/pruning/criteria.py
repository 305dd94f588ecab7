"""Importance criteria: how much each weight matters."""

from collections.abc import Callable

from torch import Tensor

Criterion = Callable[[Tensor, Tensor], Tensor]
"""(weight [G, K / G, D] with BatchNorm folded, input Hessian [G, D, D]) -> importance of the weight's shape."""


def l1(weight: Tensor, hessian: Tensor) -> Tensor:
    """|w| (Han et al., NeurIPS 2015)."""
    return weight.abs()


def l2(weight: Tensor, hessian: Tensor) -> Tensor:
    """w^2; differs from `l1` once scores are summed over channels."""
    return weight.square()


def activation_aware(weight: Tensor, hessian: Tensor) -> Tensor:
    """w^2 times the mean square of the input that it sees (Sun et al., "Wanda", ICLR 2024, squared)."""
    return weight.square() * hessian.diagonal(dim1=1, dim2=2)[:, None, :]


CRITERIA: dict[str, Criterion] = {"l1": l1, "l2": l2, "activation": activation_aware}
"""Name -> criterion."""
