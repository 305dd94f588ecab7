"""Cycles of arrays that spread channels over rows and columns (equation 4)."""

import numpy as np

from rlcompress.hw_models.arrays import SpatialArray
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.use import ArrayUse, run_width, tiles
from rlcompress.hw_models.work import DEPTHWISE, Bools, Floats, Work
from rlcompress.hw_models.zeros import executed_density, granule, independent, slowest


def fusion_factor(work: Work, description: Description, array: SpatialArray) -> Floats:
    """Products a unit computes in a cycle: floor(8/w) floor(8/a), w and a rounded up to widths the array runs."""
    factor = np.ones_like(work.density)
    if not array.fused:
        return factor
    native = array.native_bits
    for bits, allowed in (
        (work.weight_bits, description.bits.weight),
        (work.activation_bits, description.bits.activation),
    ):
        run = run_width(bits, allowed)
        factor = factor * np.where(run <= native, np.floor(native / run), 1 / np.ceil(run / native))
    return factor


def bit_steps(work: Work, array: SpatialArray) -> Floats:
    """Cycles of one product: 1, or the bits that come one after the other."""
    if array.serial == "no":
        return np.ones_like(work.density)
    return work.activation_bits * (work.weight_bits if array.serial == "both" else 1.0)


def lowered(work: Work, array: SpatialArray) -> Bools:
    """Where the kernel window is laid out over the rows (im2col)."""
    if array.im2col == "always":
        return np.ones_like(work.first)
    return np.asarray((work.kind == DEPTHWISE) | (work.first & (array.im2col == "first")))


def spatial(work: Work, description: Description, array: SpatialArray) -> ArrayUse:
    """P Q R S ceil(K / columns) ceil(C / (rows f)) cycles a group, the unit's steps shortened by skipped zeros.

    All rows of a used column work, those beyond the layer's input channels too; unused columns do not.
    """
    zeros = description.zeros
    factor = fusion_factor(work, description, array)
    lanes = array.rows * factor
    window = work.R * work.S
    inputs, outputs = work.group_inputs, work.group_outputs
    direct = window * tiles(inputs, lanes)
    steps = np.where(lowered(work, array), tiles(window * inputs, lanes), direct)
    density = executed_density(work, zeros)
    units = np.minimum(outputs, array.columns) * array.rows
    nonzeros = slowest(steps * factor, density, independent(work, zeros, units), granule(work))
    taken = np.minimum(steps, tiles(nonzeros, factor))
    depthwise = work.kind == DEPTHWISE
    passes = work.G * work.P * work.Q
    together = np.where(depthwise, tiles(work.G, array.depthwise), work.G)
    every = passes * outputs * array.rows * bit_steps(work, array)
    return ArrayUse(
        cycles=together * work.P * work.Q * tiles(outputs, array.columns) * taken * array.fill * bit_steps(work, array),
        dense=every * steps,
        working=every * steps * density,
        waiting=every * (taken - steps * density),
        peak=array.rows * array.columns * factor,
    )
