"""Random layers with correlated inputs."""

import torch
from torch import Tensor

from rlcompress.pruning.statistics import damped_inverse


def random_layer(seed: int, groups: int = 1, rows: int = 8, columns: int = 18) -> tuple[Tensor, Tensor, Tensor]:
    """Weight [G, rows, D], inputs [G, D, columns] whose rows are correlated, and their Hessian X X^T / columns."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(groups, rows, columns, generator=generator)
    mixing = torch.randn(groups, columns, columns // 2, generator=generator)
    x = mixing @ torch.randn(groups, columns // 2, 200, generator=generator)
    x = x + 0.3 * torch.randn(groups, columns, 200, generator=generator)
    return weight, x, x @ x.transpose(1, 2) / 200


def output_error(difference: Tensor, hessian: Tensor) -> float:
    """Mean squared error of the outputs, trace(d H d^T)."""
    return float(torch.einsum("gkd,gde,gke->", difference.double(), hessian.double(), difference.double()))


def inputs_of(hessian: Tensor) -> tuple[Tensor, Tensor]:
    """What `obs_sweep` wants of the inputs: their power and the damped inverse."""
    return hessian.diagonal(dim1=1, dim2=2), damped_inverse(hessian)
