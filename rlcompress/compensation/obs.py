"""Optimal Brain Surgeon sweep: prune and round a layer column by column, compensating in the columns that remain.

After Frantar & Alistarh, "Optimal Brain Compression" (NeurIPS 2022), Frantar et al., "GPTQ" (ICLR 2023, Alg. 1) and
Frantar & Alistarh, "SparseGPT" (ICML 2023), with the mask chosen beforehand.
"""

import torch
from torch import Tensor

from rlcompress.pruning.statistics import inverse_factor
from rlcompress.quantization import Rounding

_BLOCK = 64  # columns between two updates of all columns that remain


def obs_sweep(weight: Tensor, mask: Tensor, scale: Tensor, nearest: Rounding, hessian: Tensor) -> Tensor:
    """Round a masked weight to integer codes so that the layer's outputs change little.

    Columns are visited from the largest input power to the least; the error that rounding or removing makes in one
    column is taken up by those not yet visited. Several quantizers are swept at once.

    Args:
        weight: [G, K / G, D] float32.
        mask: [G, K / G, D] boolean, False where a weight is removed.
        scale: [Q, G, K / G] positive, of Q quantizers.
        nearest: rounds to the codes of each.
        hessian: [G, D, D].

    Returns:
        Codes [Q, G, K / G, D] as float32 integers, 0 where the mask is False.
    """
    order = hessian.diagonal(dim1=1, dim2=2).sum(0).argsort(descending=True, stable=True)
    factor = inverse_factor(hessian[:, order][:, :, order])
    left = weight[:, :, order].repeat(len(scale), 1, 1, 1)
    keep = mask[:, :, order]
    codes = torch.empty_like(left)
    for start in range(0, left.shape[-1], _BLOCK):
        stop = min(start + _BLOCK, left.shape[-1])
        error = torch.empty_like(left[..., start:stop])
        for j in range(start, stop):
            code = nearest(left[..., j] / scale).mul_(keep[..., j])
            codes[..., j] = code
            e = (left[..., j] - code * scale) / factor[:, j, j, None]
            error[..., j - start] = e
            left[..., j:stop] -= e[..., None] * factor[:, None, j, j:stop]
        left[..., stop:] -= error @ factor[:, start:stop, stop:]
    return codes[..., order.argsort()]
