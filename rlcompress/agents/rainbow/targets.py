"""Rainbow's equations as pure functions."""

import torch as th


def project(probabilities: th.Tensor, rewards: th.Tensor, discounts: th.Tensor, support: th.Tensor) -> th.Tensor:
    """Distribution of ``reward + discount * return`` on the atoms (Bellemare et al. 2017, equation 7).

    Args:
        probabilities: [B, atoms] of the returns in ``support``.
        rewards: [B, 1].
        discounts: [B, 1], 0 where the episode ended.
        support: [atoms], evenly spaced and rising.

    Returns:
        [B, atoms]; mass beyond the support lies on its ends, mass between two atoms is split linearly.
    """
    spacing = support[1] - support[0]
    moved = (rewards + discounts * support).clamp(support[0], support[-1])
    distance = (moved[:, None, :] - support[None, :, None]).abs() / spacing  # [B, onto, from]
    return ((1.0 - distance).clamp(min=0.0) * probabilities[:, None, :]).sum(dim=2)


def leaving(probabilities: th.Tensor, rewards: th.Tensor, discounts: th.Tensor, support: th.Tensor) -> th.Tensor:
    """Which targets [B] have a mean ``reward + discount * return`` beyond the support; arguments as for `project`.

    A thousandth of the atoms' spacing is left to rounding errors.
    """
    means, slack = rewards[:, 0] + discounts[:, 0] * (probabilities @ support), 1e-3 * (support[1] - support[0])
    return (means < support[0] - slack) | (means > support[-1] + slack)


def divergence(target: th.Tensor, log_probabilities: th.Tensor) -> th.Tensor:
    """Kullback-Leibler divergence [B] of ``log_probabilities`` from ``target``, both [B, atoms] (Rainbow, eq. 3)."""
    return th.nn.functional.kl_div(log_probabilities, target, reduction="none").sum(dim=1)


def importance_weights(probabilities: th.Tensor, beta: float) -> th.Tensor:
    """Weights [B] that make up for prioritized draws (Schaul et al. 2016, section 3.4).

    Args:
        probabilities: [B, 1] of each draw, times the number of stored transitions.
        beta: 0 for no correction, 1 for full.

    Returns:
        ``probability ** -beta``, divided by the largest so that updates only shrink.
    """
    weights = probabilities[:, 0] ** -beta
    return weights / weights.max()
