"""Importance criteria: how much each weight matters.

A criterion is a function from a layer's statistics to an importance of the weight's shape, [G, K / G, D], none of it
negative. Scores of coarser parts (blocks, kernels, channels, filters) are sums over their weights.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rlcompress.errors import RunError
from rlcompress.pruning.statistics import LayerStatistics

Criterion = Callable[[LayerStatistics], Tensor]


def l1(layer: LayerStatistics) -> Tensor:
    """|w| (Han et al., NeurIPS 2015)."""
    return layer.weight.abs()


def l2(layer: LayerStatistics) -> Tensor:
    """w^2; differs from `l1` once scores are summed over channels."""
    return layer.weight.square()


def activation_aware(layer: LayerStatistics) -> Tensor:
    """w^2 times the mean square of the input that it sees (Sun et al., "Wanda", ICLR 2024, squared)."""
    return layer.weight.square() * layer.hessian.diagonal(dim1=1, dim2=2)[:, None, :]


def obs(layer: LayerStatistics) -> Tensor:
    """w_j^2 / [H^-1]_jj, the squared output error when the others of the row make up (Hassibi & Stork, NIPS 1992)."""
    inverse_diagonal = layer.inverse.diagonal(dim1=1, dim2=2).to(layer.weight.dtype)
    return layer.weight.square() / inverse_diagonal[:, None, :]


def taylor(layer: LayerStatistics) -> Tensor:
    """(g w)^2, the squared first-order change of the loss (Molchanov et al., CVPR 2019, eq. 8), averaged over images.

    Raises:
        RunError: the gradients were not computed.
    """
    if layer.gradient is None:
        raise RunError("the criterion 'taylor' needs gradients; compute them with `loss_gradients`")
    return (layer.gradient * layer.weight).square()


def reconstruction(layer: LayerStatistics) -> Tensor:
    """Squared error of the feature maps when a kernel's input channel goes, spread evenly over the kernel.

    w_c^T H_cc w_c for the weights w_c of a row that see channel c (He et al., ICCV 2017; Luo et al., "ThiNet",
    ICCV 2017); the sum over a channel is that of removing the channel.
    """
    window = layer.weight.shape[2] // layer.inputs
    weight = layer.weight.unflatten(2, (layer.inputs, window))
    blocks = layer.hessian.unflatten(2, (layer.inputs, window)).unflatten(1, (layer.inputs, window))
    own = blocks.diagonal(dim1=1, dim2=3)  # [G, window, window, C]
    error = torch.einsum("gkcp,gpqc,gkcq->gkc", weight, own, weight)
    return (error.clamp_min(0.0) / window).repeat_interleave(window, dim=2)


def bernoulli(layer: LayerStatistics) -> Tensor:
    """Drawn at random, the same for every call: the control that a criterion must beat.

    After the filter pruner of that name in Distiller (Zmora et al. 2019, arXiv:1910.12232), from whose algorithms
    published searches choose.
    """
    generator = torch.Generator().manual_seed(0)
    return torch.rand(layer.weight.shape, generator=generator)


def redundancy(layer: LayerStatistics) -> Tensor:
    """Power of a filter's response that no stronger filter of the layer repeats, shared out by w^2.

    After Ayinde et al., "Redundant feature pruning", Neural Networks 2019, but with the similarity of responses on
    calibration images, R = W H W^T, in place of that of weights: R_ii (1 - max_j R_ij^2 / (R_ii R_jj)) over the
    filters j that respond more strongly than i (or as strongly and come first).
    """
    response = layer.weight @ layer.hessian @ layer.weight.transpose(1, 2)
    power = response.diagonal(dim1=1, dim2=2).clamp_min(torch.finfo(response.dtype).tiny)
    order = power.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    stronger = order[:, None, :] < order[:, :, None]
    repeated = (response / power[:, :, None].sqrt() / power[:, None, :].sqrt()).square() * stronger
    own = power * (1.0 - repeated.amax(2)).clamp_min(0.0)
    share = layer.weight.square()
    return own[..., None] * share / share.sum(2, keepdim=True).clamp_min(torch.finfo(share.dtype).tiny)


def blended(layer: LayerStatistics) -> Tensor:
    """Ranks by several criteria, averaged with weights that the layer's own output errors calibrate.

    A criterion counts with the inverse of the squared output error of keeping the better half of the layer's weights
    by it alone. (Rank aggregation by Borda's count; the calibration is ours.)
    """
    scores = [criterion(layer) for criterion in (l1, activation_aware, obs, reconstruction)]
    ranks = torch.stack([score.flatten().argsort(stable=True).argsort().float() for score in scores])
    errors = torch.stack([_output_error(layer, rank >= ranks.shape[1] // 2) for rank in ranks])
    trust = 1.0 / (errors / errors.amax().clamp_min(torch.finfo(errors.dtype).tiny) + 1e-6)
    return ((trust / trust.sum()) @ ranks).view_as(layer.weight)


def _output_error(layer: LayerStatistics, kept: Tensor) -> Tensor:
    removed = layer.weight * ~kept.view_as(layer.weight)
    return ((removed @ layer.hessian) * removed).sum()


CRITERIA: dict[str, Criterion] = {
    "l1": l1,
    "l2": l2,
    "activation": activation_aware,
    "obs": obs,
    "taylor": taylor,
    "reconstruction": reconstruction,
    "bernoulli": bernoulli,
    "redundancy": redundancy,
    "blended": blended,
}
"""Name -> criterion."""

NEED_GRADIENTS = ("taylor",)
"""Criteria that look at `LayerStatistics.gradient`."""
