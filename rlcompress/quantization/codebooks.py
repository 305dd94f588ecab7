"""Weight clustering: the weights of a layer take the values of one codebook.

After Han et al., "Deep Compression" (ICLR 2016). The entries are 8-bit codes on the grid of each output channel's
scale, so that a clustered layer is an 8-bit layer whose codes take few values. Choosing the entries is k-means in one
dimension, which dynamic programming solves exactly (Wang & Song, "Ckmeans.1d.dp", The R Journal 2011).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rlcompress.quantization.weights import Rounding, fit_scale, largest_code
from rlcompress.spec import ENTRY_BITS

_LARGEST = largest_code(ENTRY_BITS)
_ROUNDS = 4


def fit_codebook(weight: Tensor, importance: Tensor, bits: int, *, zero: bool) -> tuple[Tensor, Tensor]:
    """A codebook for a layer and a scale for each output channel, of little weighted squared error.

    The scales begin as those of a uniform grid of ``bits`` and are fitted in turn with the entries.

    Args:
        weight: [K, D] float32; removed weights are zero.
        importance: [K, D] of each weight's squared error, not negative.
        bits: of the indices, 2 to 7.
        zero: whether 0 is among the entries, for weights that are removed.

    Returns:
        [2^bits] codes of 8 bits, ascending, as float32; [K] scales, positive.
    """
    scale = fit_scale(weight, bits) * (largest_code(bits) / _LARGEST)
    for _ in range(_ROUNDS):
        entries = _entries(weight / scale[:, None], importance * scale.square()[:, None], 2**bits, zero=zero)
        codes = nearest_entry([entries])((weight / scale[:, None])[None])[0]
        weighted = importance * codes
        power = (weighted * codes).sum(1)
        fitted = (weighted * weight).sum(1) / power.clamp_min(torch.finfo(weight.dtype).tiny)
        scale = torch.where((power > 0) & (fitted > 0), fitted, scale)
    return entries, scale


def nearest_entry(entries: Sequence[Tensor]) -> Rounding:
    """Rounds positions [Q, ...] to the nearest entry of each of Q codebooks."""
    # between two neighbouring halves of integers the nearest entry is the same
    middles = (torch.arange(-2 * _LARGEST, 2 * _LARGEST) + 0.5) / 2
    table = torch.stack([book[(middles[:, None] - book).abs().argmin(1)] for book in entries])

    def rounded(positions: Tensor) -> Tensor:
        half = (positions * 2).floor_().clamp_(-2 * _LARGEST, 2 * _LARGEST - 1).add_(2 * _LARGEST).long()
        return positions.copy_(table.gather(1, half.flatten(1)).view_as(positions))

    return rounded


def _entries(positions: Tensor, mass: Tensor, count: int, *, zero: bool) -> Tensor:
    """[count] integers of least weighted squared distance to positions rounded to integers."""
    codes = positions.round().clamp_(-_LARGEST, _LARGEST).long().flatten() + _LARGEST
    masses = torch.zeros(2 * _LARGEST + 1, dtype=torch.float64).index_add_(0, codes, mass.flatten().double())
    if zero:
        masses[_LARGEST] = 1e6 * masses.sum().clamp_min(1.0)  # draws the centre of its cluster
    return _clusters(masses, count)


def _clusters(masses: Tensor, count: int) -> Tensor:
    """Integer centres of least weighted squared distance to the integers from -127 on that have masses."""
    values = torch.arange(len(masses), dtype=torch.float64) - _LARGEST
    sums = [torch.cat([torch.zeros(1), (masses * values**p).cumsum(0)]).double() for p in range(3)]
    within = [total[None, 1:] - total[:-1, None] for total in sums]  # [first, last] of a cluster
    lowest, highest = torch.meshgrid(values, values, indexing="ij")
    centre = torch.where(within[0] > 0, within[1] / within[0], (lowest + highest) / 2).round_()
    centre = centre.clamp(lowest, highest)  # a cluster without mass may have one by rounding
    cost = within[2] - 2 * centre * within[1] + centre.square() * within[0]
    cost = torch.where(lowest <= highest, cost.clamp_min_(0.0), torch.inf)
    best, before = cost[0], []  # of all integers up to each one, in one cluster
    for _ in range(count - 1):
        best, end_before = (best[:-1, None] + cost[1:]).min(0)
        before.append(end_before)
    end, entries = len(masses) - 1, []
    for ends in reversed(before):
        start = int(ends[end]) + 1
        entries.append(centre[start, end])
        end = start - 1
    return torch.stack([centre[0, end], *reversed(entries)]).float()
