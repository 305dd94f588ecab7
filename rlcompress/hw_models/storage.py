"""Stored bits of sparse weights (equation 2 of docs/hardware.md)."""

from collections.abc import Callable

import numpy as np

from rlcompress.hw_models.description import Description
from rlcompress.hw_models.work import Floats, Work
from rlcompress.spec import GRANULARITIES

Counts = tuple[Floats, Floats, Floats, Floats]
"""Elements, density, bits an element, kernel size R * S."""


def _dense(counts: Counts, description: Description) -> Floats:
    n, _d, bits, _k = counts
    return n * bits


def _bitmask(counts: Counts, description: Description) -> Floats:
    n, d, bits, _k = counts
    return n + n * d * bits


def _n_of_m(counts: Counts, description: Description) -> Floats:
    n, d, bits, _k = counts
    return n * d * (bits + float(np.ceil(np.log2(description.zeros.m))))


def _csc(counts: Counts, description: Description) -> Floats:
    """Run lengths of z bits: zeros longer than a run need padding entries (Han et al., ISCA 2016)."""
    n, d, bits, _k = counts
    z = description.storage.run_bits
    full_run = np.clip(1 - d, 0.0, 1 - 1e-12) ** (2.0**z)
    return n * d * (bits + z) * (1 + full_run / (1 - full_run))


def _run_length(counts: Counts, description: Description) -> Floats:
    """Eyeriss: three 16-bit values with three 5-bit runs in a 64-bit word."""
    n, d, _bits, _k = counts
    return n * d * 64 / 3


def _block(counts: Counts, description: Description) -> Floats:
    n, d, bits, _k = counts
    return n * d * bits + n / description.zeros.block


def _pattern(counts: Counts, description: Description) -> Floats:
    n, d, bits, kernel = counts
    return n * d * bits + n / kernel * float(np.ceil(np.log2(description.storage.patterns)))


def _kernel(counts: Counts, description: Description) -> Floats:
    n, d, bits, kernel = counts
    return n * d * bits + n / kernel


FORMATS: dict[str, Callable[[Counts, Description], Floats]] = {
    "dense": _dense,
    "bitmask": _bitmask,
    "n:m": _n_of_m,
    "csc": _csc,
    "run-length": _run_length,
    "block": _block,
    "pattern": _pattern,
    "kernel": _kernel,
}


def weight_bits(work: Work, description: Description) -> tuple[Floats, Floats]:
    """Stored bits of every operator's weights, and those of them that are metadata, codebooks among them.

    Whichever is smaller counts, the format or dense storage.
    """
    counts = (work.weights, work.density, work.stored_width, work.R * work.S)
    dense = _dense(counts, description)
    stored, metadata = dense, np.zeros_like(dense)
    for name, form in description.storage.weights.items():
        chosen = work.granularity == GRANULARITIES.index(name)
        if chosen.any():
            sparse = FORMATS[form](counts, description)
            chosen &= sparse < dense
            stored = np.where(chosen, sparse, stored)
            metadata = np.where(chosen, sparse - counts[0] * counts[1] * counts[2], metadata)
    return stored + work.codebook_bits, metadata + work.codebook_bits
