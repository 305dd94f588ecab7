"""What a mask may look like: one function for every granularity, from fine to coarse.

Each takes the importance [K, C, R * S] of a layer's weights (C inputs a row sees) and a keep ratio, and gives a boolean
mask of the same shape, True where a weight stays. Removing whole filters concerns several layers at once and is left
to `rlcompress.pruning.filters`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from rlcompress.spec import keep_count

Mask = Callable[[Tensor, float], Tensor]
"""(importance [K, C, R * S], keep ratio) -> mask of the same shape."""

BLOCK = 4  # weights: what the hardware descriptions charge
GROUP = 4  # m of n:m
PATTERNS = 8  # in a layer's library
PATTERN_WEIGHTS = 4  # that a 3x3 pattern keeps


def everything(importance: Tensor, keep_ratio: float) -> Tensor:
    """No weight goes."""
    return torch.ones_like(importance, dtype=torch.bool)


def element_mask(importance: Tensor, keep_ratio: float) -> Tensor:
    """Keep the most important single weights of a layer (unstructured pruning).

    Returns:
        Exactly ``keep_count(numel, keep_ratio)`` weights are kept, of equal ones the first.
    """
    scores, count = importance.flatten(), keep_count(importance.numel(), keep_ratio)
    if count == len(scores):
        return everything(importance, keep_ratio)
    least = scores.kthvalue(len(scores) - count + 1).values  # of those kept; a fraction of the time of sorting
    mask = scores > least
    mask[(scores == least).nonzero()[: count - int(mask.sum()), 0]] = True
    return mask.view_as(importance)


def n_of_m_mask(importance: Tensor, keep_ratio: float, *, m: int = GROUP) -> Tensor:
    """Keep n of every m consecutive inputs at the same kernel position (Mishra et al. 2021, arXiv:2104.08378).

    n = ``keep_count(m, keep_ratio)``. Where removed channels leave a shorter last group, it keeps at most n too.
    """
    groups = _split_inputs(importance, m)  # [K, C / m, m, R * S]
    rank = groups.argsort(dim=2, descending=True, stable=True).argsort(2)
    return _joined_inputs(rank < keep_count(m, keep_ratio), importance)


def block_mask(importance: Tensor, keep_ratio: float, *, size: int = BLOCK, along: str = "inputs") -> Tensor:
    """Keep the most important blocks of neighbouring inputs (or outputs) at the same kernel position.

    Args:
        importance: [K, C, R * S].
        keep_ratio: share of the blocks that stays.
        size: weights in a block; where the channels are no multiple of it, the last block is shorter.
        along: ``inputs`` or ``outputs``, the direction that a block spans.
    """
    if along == "outputs":
        return block_mask(importance.transpose(0, 1), keep_ratio, size=size).transpose(0, 1)
    blocks = _split_inputs(importance, size, fill=0.0)
    kept = element_mask(blocks.sum(2, keepdim=True), keep_ratio)
    return _joined_inputs(kept.expand_as(blocks), importance)


def pattern_mask(importance: Tensor, keep_ratio: float) -> Tensor:
    """Keep 4 weights of every 3x3 kernel, in one of the layer's 8 patterns (Niu et al., "PatDNN", ASPLOS 2020).

    The library holds the patterns that are most often a kernel's own four most important weights; every kernel then
    takes the one that keeps the most importance.
    """
    kernels = importance.flatten(0, 1)
    own = torch.zeros_like(kernels).scatter_(
        1, kernels.argsort(dim=1, descending=True, stable=True)[:, :PATTERN_WEIGHTS], 1
    )
    patterns, counts = own.unique(dim=0, return_counts=True)
    library = patterns[counts.argsort(descending=True, stable=True)[:PATTERNS]]
    return library[(kernels @ library.T).argmax(1)].view_as(importance).bool()


def kernel_mask(importance: Tensor, keep_ratio: float) -> Tensor:
    """Keep the most important whole R x S kernels of a layer (Mao et al., CVPR workshops 2017)."""
    return element_mask(importance.sum(2, keepdim=True), keep_ratio).expand_as(importance)


def channel_mask(importance: Tensor, keep_ratio: float) -> Tensor:
    """Keep the most important input channels of this layer alone; other readers still see all of them."""
    return element_mask(importance.sum((0, 2), keepdim=True), keep_ratio).expand_as(importance)


GRANULARITY_MASKS: dict[str, Mask] = {
    "none": everything,
    "element": element_mask,
    "n:m": n_of_m_mask,
    "block": block_mask,
    "pattern": pattern_mask,
    "kernel": kernel_mask,
    "channel": channel_mask,
    "filter": everything,  # of the filters that stay
}
"""Granularity -> mask of the weights between the channels that stay."""


def _split_inputs(importance: Tensor, size: int, fill: float = -torch.inf) -> Tensor:
    """[K, C, P] -> [K, ceil(C / size), size, P], the last group filled up."""
    missing = -importance.shape[1] % size
    return F.pad(importance, (0, 0, 0, missing), value=fill).unflatten(1, (-1, size))


def _joined_inputs(mask: Tensor, importance: Tensor) -> Tensor:
    return mask.flatten(1, 2)[:, : importance.shape[1]]
