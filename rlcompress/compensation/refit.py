"""Least-squares refit of the weights that stay."""

import torch
from torch import Tensor

from rlcompress.pruning.statistics import DAMPING

_STEPS = 20  # of conjugate gradients; more change nothing on ResNet-20


def refit(weight: Tensor, mask: Tensor, hessian: Tensor) -> Tensor:
    """The weights on a mask's support that change the outputs least.

    Row by row the minimum of (w' - w) (H + damping) (w' - w)^T over the w' that are zero off the mask (He et al., ICCV
    2017, for whole channels). A row's support is its own, so that direct solutions would factorise a matrix a row;
    conjugate gradients on the support, all rows at once and preconditioned by the diagonal, take matrix products only
    (Meng et al., "ALPS", NeurIPS 2024). The OBS sweep alone stays above this minimum, as it makes up for a weight in
    the columns not yet visited only.

    Args:
        weight: [G, K / G, D].
        mask: [G, K / G, D] boolean, True where a weight stays.
        hessian: [G, D, D].

    Returns:
        [G, K / G, D], zero off the mask; ``weight`` itself where all of it stays.
    """
    if bool(mask.all()):
        return weight
    tiny = torch.finfo(weight.dtype).tiny
    damping = DAMPING * hessian.diagonal(dim1=1, dim2=2).mean(1).clamp_min(tiny)
    damped = hessian + torch.diag_embed(damping[:, None].expand(-1, hessian.shape[1]))
    power = damped.diagonal(dim1=1, dim2=2)[:, None, :]
    kept = mask.to(weight.dtype)
    fitted = weight * kept
    residual = ((weight - fitted) @ damped).mul_(kept)
    step = residual / power
    descent = (residual * step).sum(2, keepdim=True)
    for _ in range(_STEPS):
        product = (step @ damped).mul_(kept)
        length = descent / (step * product).sum(2, keepdim=True).clamp_min_(tiny)
        fitted.add_(length * step)
        residual.sub_(product.mul_(length))
        before, descent = descent, residual.square().div_(power).sum(2, keepdim=True)
        step.mul_(descent / before.clamp_min_(tiny)).add_(residual / power)
    return fitted
