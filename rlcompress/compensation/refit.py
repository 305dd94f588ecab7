"""Least-squares refit of the weights that stay."""

import torch
from torch import Tensor

from rlcompress.pruning.statistics import DAMPING

_STEPS = 20  # of conjugate gradients at most; more change nothing on ResNet-20
_LEAST_GAIN = 3e-4  # of the error that is left; a step that gains less is the last one


@torch.no_grad()
def refit(
    weight: Tensor,
    mask: Tensor,
    hessian: Tensor,
    *,
    start: Tensor | None = None,
    least_gain: float = _LEAST_GAIN,
) -> Tensor:
    """The weights on a mask's support that change the outputs least.

    Row by row the minimum of (w' - w) (H + damping) (w' - w)^T over the w' that are zero off the mask (He et al., ICCV
    2017, for whole channels). A row's support is its own, so that direct solutions would factorise a matrix a row;
    conjugate gradients on the support, all rows at once and preconditioned by the diagonal, take matrix products only
    (Meng et al., "ALPS", NeurIPS 2024), until a step gains little. The OBS sweep alone stays above this minimum, as it
    makes up for a weight in the columns not yet visited only.

    Args:
        weight: [G, K / G, D].
        mask: [G, K / G, D] boolean, True where a weight stays.
        hessian: [G, D, D].
        start: [G, K / G, D] where the steps begin on the mask; ``weight`` if it is None.
        least_gain: share of the error that is left by which a step has to lower it, for another to follow.

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
    fitted = (weight if start is None else start) * kept
    removed = weight - fitted
    residual = removed @ damped
    error = float((removed * residual).sum())
    step = residual.mul_(kept) / power
    descent = (residual * step).sum(2, keepdim=True)
    for _ in range(_STEPS):
        product = (step @ damped).mul_(kept)
        length = descent / (step * product).sum(2, keepdim=True).clamp_min_(tiny)
        fitted.add_(length * step)
        gain = float((length * descent).sum())
        error -= gain
        if gain <= least_gain * error:
            break
        residual.sub_(product.mul_(length))
        before, descent = descent, residual.square().div_(power).sum(2, keepdim=True)
        step.mul_(descent / before.clamp_min_(tiny)).add_(residual / power)
    return fitted
