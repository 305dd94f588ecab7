"""Cycles of the MAC array (equation 4)."""

from dataclasses import dataclass

import numpy as np

from rlcompress.hw_models.description import Description, SpatialArray
from rlcompress.hw_models.work import DEPTHWISE, Bools, Floats, Work
from rlcompress.hw_models.zeros import among, executed_density, granule, slowest


@dataclass(frozen=True, slots=True)
class ArrayUse:
    """What the array does for one image.

    Attributes:
        cycles: without stalls.
        dense: unit cycles with no zeros skipped.
        working: unit cycles that compute something (padding at the array's edges included).
        waiting: unit cycles in which a unit waits for the slowest one.
        utilisation: products computed over products possible in these cycles.
    """

    cycles: Floats
    dense: Floats
    working: Floats
    waiting: Floats
    utilisation: Floats


def fusion_factor(work: Work, description: Description) -> Floats:
    """Products a unit computes in a cycle: floor(8/w) floor(8/a), w and a rounded up to widths the array runs."""
    native = description.array.native_bits
    factor = np.ones_like(work.density)
    if not description.array.fused:
        return factor
    widths = ((work.weight_bits, description.bits.weight), (work.activation_bits, description.bits.activation))
    for bits, allowed in widths:
        run = np.array(sorted(allowed), np.float64)[np.searchsorted(sorted(allowed), bits).clip(max=len(allowed) - 1)]
        factor = factor * np.where(run <= native, np.floor(native / run), 1 / np.ceil(run / native))
    return factor


def lowered(work: Work, array: SpatialArray) -> Bools:
    """Where the kernel window is laid out over the rows (im2col)."""
    if array.im2col == "always":
        return np.ones_like(work.first)
    return np.asarray((work.kind == DEPTHWISE) | (work.first & (array.im2col == "first")))


def spatial(work: Work, description: Description) -> ArrayUse:
    """P Q R S ceil(K / columns) ceil(C / (rows f)) cycles a group, the unit's steps shortened by skipped zeros."""
    array, zeros = description.array, description.zeros
    factor = fusion_factor(work, description)
    lanes = array.rows * factor
    window = work.R * work.S
    inputs, outputs = work.group_inputs, work.group_outputs
    direct = window * np.ceil(inputs / lanes)
    steps = np.where(lowered(work, array), np.ceil(window * inputs / lanes), direct)
    density = executed_density(work, zeros)
    units = np.minimum(outputs, array.columns) * array.rows
    even = among(work, zeros.balanced)
    nonzeros = slowest(steps * factor, density, np.where(even, 1.0, units), granule(work, zeros))
    taken = np.minimum(steps, np.ceil(np.round(nonzeros / factor, 9)))
    passes = work.G * work.P * work.Q
    cycles = passes * np.ceil(outputs / array.columns) * taken
    every = passes * outputs * array.rows
    products = work.macs * density / factor
    active = work.computes
    return ArrayUse(
        cycles=np.where(active, cycles, 0.0),
        dense=np.where(active, every * steps, 0.0),
        working=np.where(active, every * steps * density, 0.0),
        waiting=np.where(active, every * (taken - steps * density), 0.0),
        utilisation=np.where(active, products / np.maximum(cycles * array.rows * array.columns, 1.0), 0.0),
    )
