"""What importance criteria may look at."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

DAMPING = 0.01  # of the mean diagonal, as in GPTQ (Frantar et al., ICLR 2023)


@dataclass(frozen=True)
class LayerStatistics:
    """One layer's weight and what calibration images say about it.

    Attributes:
        weight: [G, K / G, D] with BatchNorm folded, D = inputs * R * S.
        hessian: [G, D, D] second moments of the inputs that a row of the weight sees.
        inputs: input channels that a row sees, C / G.
        gradient: [G, K / G, D] root mean square of the loss's gradient over images, or None where it was not computed.
    """

    weight: Tensor
    hessian: Tensor
    inputs: int
    gradient: Tensor | None = None

    @cached_property
    def inverse(self) -> Tensor:
        """`damped_inverse` of the Hessian, which criteria and the OBS sweep share."""
        return damped_inverse(self.hessian)

    def with_weight(self, weight: Tensor) -> "LayerStatistics":
        """The same inputs with another weight of the same shape."""
        other = replace(self, weight=weight)
        if "inverse" in self.__dict__:
            other.__dict__["inverse"] = self.inverse
        return other


def damped_inverse(hessian: Tensor) -> Tensor:
    """Inverse of the damped Hessian, [G, D, D] float64.

    Args:
        hessian: [G, D, D], symmetric and positive semidefinite. Inputs that are always zero get a unit diagonal.
    """
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    damping = DAMPING * diagonal.mean(1, keepdim=True)
    damped = hessian + torch.diag_embed(damping + torch.where(diagonal + damping > 0, 0.0, 1.0))
    return torch.cholesky_inverse(torch.linalg.cholesky(damped.double()))
