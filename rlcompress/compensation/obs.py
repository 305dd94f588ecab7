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
    keep = mask[:, :, order].movedim(2, 0).to(weight.dtype)
    codes = torch.empty_like(left)
    for start in range(0, left.shape[-1], _BLOCK):
        stop = min(start + _BLOCK, left.shape[-1])
        columns = left[..., start:stop].movedim(-1, 0).contiguous()  # [B, Q, G, K / G]
        rounded, error = torch.empty_like(columns), torch.empty_like(columns)
        rows = factor[:, start:stop, start:stop].permute(1, 2, 0).contiguous()[..., None]  # [B, B, G, 1]
        for j in range(stop - start):
            code = nearest(torch.div(columns[j], scale, out=rounded[j])).mul_(keep[start + j])
            e = torch.sub(columns[j], code * scale, out=error[j]).div_(rows[j, j])
            columns[j + 1 :] -= e * rows[j, j + 1 :, None]
        codes[..., start:stop] = rounded.movedim(0, -1)
        left[..., stop:] -= error.movedim(0, -1).contiguous() @ factor[:, start:stop, stop:]
    return codes[..., order.argsort()]
