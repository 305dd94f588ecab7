"""Second moments of many inputs from few samples."""

from torch import Tensor

_ENOUGH = 2  # samples an input, from which on second moments are taken as they are
_LEAST = 1e-30


def shrunk(hessian: Tensor, mean: Tensor, samples: int) -> Tensor:
    """Second moments drawn towards those of uncorrelated inputs where there are few samples an input.

    A classifier reads hundreds of channels and one sample an image: least squares can fit what is left of its weights
    to the calibration images alone. Correlations are multiplied by 1 - rho with the rho of the oracle approximating
    shrinkage estimator (Chen, Wiesel, Eldar & Hero, "Shrinkage Algorithms for MMSE Covariance Estimation", IEEE
    Transactions on Signal Processing 2010, eq. 23), here on the correlations; means and variances stay.

    Args:
        hessian: [G, D, D] means of x x^T over samples.
        mean: [G, D] means of x.
        samples: how many.

    Returns:
        [G, D, D].
    """
    if samples >= _ENOUGH * hessian.shape[1]:
        return hessian
    covariance = hessian - mean[:, :, None] * mean[:, None]
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp_min(0.0).sqrt()
    scale = (1.0 / deviation).where(deviation > 0.0, 0.0)
    square = (covariance * scale[:, :, None] * scale[:, None]).square().sum((1, 2))
    inputs = (scale > 0.0).sum(1).clamp_min(1).to(square.dtype)
    share = 1.0 - 2.0 / inputs
    rho = (share * square + inputs.square()) / ((samples + share) * (square - inputs).clamp_min(_LEAST))
    between = covariance - covariance.diagonal(dim1=1, dim2=2).diag_embed()
    return hessian - rho.clamp(0.0, 1.0)[:, None, None] * between
