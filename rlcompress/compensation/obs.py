"""Optimal Brain Surgeon sweep: prune and round a layer column by column, compensating in the columns that remain.

After Frantar & Alistarh, "Optimal Brain Compression" (NeurIPS 2022), Frantar et al., "GPTQ" (ICLR 2023, Alg. 1) and
Frantar & Alistarh, "SparseGPT" (ICML 2023), with the mask chosen beforehand.
"""

import torch
from torch import Tensor

from rlcompress.quantization import Rounding

_BLOCK = 64  # columns between two updates of all columns that remain
_VALUES = 2**19  # in a block, of all quantizers, which bounds the memory: rows beyond are swept afterwards


def obs_sweep(weight: Tensor, mask: Tensor, scale: Tensor, nearest: Rounding, power: Tensor, inverse: Tensor) -> Tensor:
    """Round a masked weight to integer codes so that the layer's outputs change little.

    Columns are visited from the largest input power to the least; the error that rounding or removing makes in one
    column is taken up by those not yet visited. Several quantizers are swept at once.

    Args:
        weight: [G, K / G, D] float32.
        mask: [G, K / G, D] boolean, False where a weight is removed.
        scale: [Q, G, K / G] positive, of Q quantizers.
        nearest: rounds to the codes of each.
        power: [G, D] of the inputs, the Hessian's diagonal.
        inverse: [G, D, D] float64 of the damped Hessian.

    Returns:
        Codes [Q, G, K / G, D] as float32 integers, 0 where the mask is False.
    """
    order = power.sum(0).argsort(descending=True, stable=True)
    # upper Cholesky factor, inverse = factor^T factor
    factor = torch.linalg.cholesky(inverse[:, order][:, :, order], upper=True).to(weight.dtype)
    back, codes = order.argsort(), torch.empty(*scale.shape, weight.shape[2])
    rows = max(1, _VALUES // max(1, _BLOCK * len(scale) * len(weight)))
    for start in range(0, weight.shape[1], rows):
        part = slice(start, start + rows)
        left, keep = (tensor[:, part].movedim(2, 0)[order] for tensor in (weight, mask))
        swept = _sweep(left, keep, scale[:, :, part].transpose(0, 1).contiguous(), nearest, factor)
        codes[:, :, part] = swept[back].permute(2, 1, 3, 0)
    return codes


def _sweep(weight: Tensor, mask: Tensor, scale: Tensor, nearest: Rounding, factor: Tensor) -> Tensor:
    """Codes [D, G, Q, K / G] of columns in the order of their visits.

    Args:
        weight: [D, G, K / G].
        mask: [D, G, K / G].
        scale: [G, Q, K / G].
        nearest: of the Q quantizers.
        factor: [G, D, D] upper factor of the inverse Hessian.
    """
    left = weight[:, :, None].repeat(1, 1, scale.shape[1], 1)  # a column is one piece of memory
    keep = mask[:, :, None].to(weight.dtype)
    spare = torch.empty_like(left[:_BLOCK])  # fresh memory for every product takes as long as the product
    for start in range(0, len(left), _BLOCK):
        stop = min(start + _BLOCK, len(left))
        columns = left[start:stop]
        error = torch.empty_like(columns)
        rows = factor[:, start:stop, start:stop].permute(1, 2, 0).contiguous()[..., None, None]  # [B, B, G, 1, 1]
        for j in range(stop - start):
            code = torch.div(columns[j], scale)
            nearest(code.transpose(0, 1))
            code.mul_(keep[start + j])
            e = torch.sub(columns[j], code * scale, out=error[j]).div_(rows[j, j])
            columns[j + 1 :] -= torch.mul(e, rows[j, j + 1 :], out=spare[j + 1 : stop - start])
            columns[j] = code
        if stop < len(left):
            pieces = (tensor.flatten(2).unbind(1) for tensor in (left[stop:], error))
            for later, made, tie in zip(*pieces, factor[:, start:stop, stop:], strict=True):
                later.addmm_(tie.T, made, alpha=-1)
    return left
