"""Zero skipping: how long the slowest processing element works, and what is read (equation 7)."""

import numpy as np

from rlcompress.hw_models.parts import Zeros
from rlcompress.hw_models.work import Bools, Floats, Work
from rlcompress.spec import GRANULARITIES


def slowest(slots: Floats, density: Floats, elements: Floats | float, granule: Floats | float = 1.0) -> Floats:
    """Nonzero work of the slowest of n processing elements with L slots each, d of them effectual.

    L d + sqrt(2 ln n * L d (1 - d)), the expected maximum of n binomial counts in the Gaussian limit; nonzeros that
    come in granules of g slots fluctuate g times as strongly. Never more than the L slots of dense execution.
    """
    count = slots / granule
    spread = np.sqrt(2 * np.log(np.maximum(elements, 1.0)) * count * density * (1 - density)) * granule
    return np.minimum(slots, slots * density + spread)


def independent(work: Work, zeros: Zeros, elements: Floats) -> Floats:
    """Processing elements whose nonzeros are independent: blocks span neighbours, balanced granularities all."""
    block = work.granularity == GRANULARITIES.index("block")
    alone = np.where(block, np.maximum(1.0, elements / zeros.block), elements)
    return np.where(among(work, zeros.balanced), 1.0, alone)


def granule(work: Work) -> Floats:
    """Slots of one processing element that are removed together."""
    size = np.ones_like(work.density)
    kernel = work.granularity == GRANULARITIES.index("kernel")
    size[kernel] = (work.R * work.S)[kernel]
    return size


def among(work: Work, names: tuple[str, ...]) -> Bools:
    """Where the granularity is one of ``names``."""
    return np.isin(work.granularity, [GRANULARITIES.index(name) for name in names])


def executed_density(work: Work, zeros: Zeros) -> Floats:
    """Density that the array sees: 1 where zeros are not skipped."""
    return np.where(among(work, zeros.skips), work.density, 1.0)


def decode_energy_pj(work: Work, zeros: Zeros) -> Floats:
    """Energy of index decoding for one effectual unit step."""
    energy = np.zeros_like(work.density)
    for name, pj in zeros.decode_pj.items():
        energy[work.granularity == GRANULARITIES.index(name)] = pj
    return energy


def words_touched(work: Work, zeros: Zeros, word_bits: int) -> Floats:
    """Share of the input buffer's words that hold an operand for a nonzero weight.

    A word of several activations is read as soon as one of their weights is not zero; n:m groups leave no word out.
    """
    lanes = np.maximum(1.0, word_bits / work.activation_bits)
    block = work.granularity == GRANULARITIES.index("block")
    spans = np.where(block, np.maximum(1.0, lanes / zeros.block), lanes)
    n_of_m = work.granularity == GRANULARITIES.index("n:m")
    spans = np.where(n_of_m & (lanes >= zeros.m), np.inf, spans)
    density = executed_density(work, zeros)
    with np.errstate(invalid="ignore"):
        return np.where(density < 1, 1 - (1 - density) ** spans, 1.0)
