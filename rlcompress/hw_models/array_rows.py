"""Row-stationary arrays: mapping, cycles, and traffic by the published closed form (equation 4)."""

import numpy as np

from rlcompress.hw_models.arrays import RowStationaryArray
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.use import ArrayUse, plain_use, tiles
from rlcompress.hw_models.work import Floats, Work


def mapping(work: Work, array: RowStationaryArray) -> dict[str, Floats]:
    """Parameters qr, pt, m, n, e of every layer: those of the first mapping that fits."""
    chosen = np.full(work.K.shape, len(array.mappings) - 1)
    for i, candidate in reversed(list(enumerate(array.mappings))):
        chosen[(candidate.kernel <= work.R) & (candidate.width >= work.Q)] = i
    table = {key: [getattr(candidate, key) for candidate in array.mappings] for key in ("qr", "pt", "m", "n", "e")}
    return {key: np.array(values, np.float64)[chosen] for key, values in table.items()}


def active_pes(work: Work, array: RowStationaryArray) -> Floats:
    """PEs in use: as many sets of R rows as fit, the columns filled by output rows."""
    rows = np.maximum(1.0, np.floor(array.rows / work.R)) * np.minimum(work.R, array.rows)
    columns = np.where(work.P > 1, work.P / tiles(work.P, array.columns), array.columns)
    return np.asarray(rows * columns)


def row_stationary(work: Work, _: Description, array: RowStationaryArray) -> ArrayUse:
    """Products over active PEs, times the share of cycles that fills and drains the PEs."""
    cycles = work.macs / active_pes(work, array) * array.fill
    return plain_use(cycles, work.macs, array.rows * array.columns)


def buffer_words(work: Work, array: RowStationaryArray) -> tuple[Floats, Floats]:
    """Words of inputs and of partial sums through the buffer, for one image.

    2 ceil(C / (q r)) K P Q partial sums, and the inputs, strip by strip of e output rows, ceil(K / (p t)) times.
    """
    parameters = mapping(work, array)
    strips = tiles(work.P, parameters["e"])
    rows = strips * ((np.minimum(work.P, parameters["e"]) - 1) * work.stride + work.R)
    columns = (work.Q - 1) * work.stride + work.S
    sums = 2 * tiles(work.group_inputs, parameters["qr"]) * work.outputs
    inputs = work.C * rows * columns * tiles(work.group_outputs, parameters["pt"])
    return inputs, sums


def refetches(work: Work, array: RowStationaryArray, images: int) -> tuple[Floats, Floats]:
    """How often weights (of the whole batch) and inputs are fetched from DRAM."""
    parameters = mapping(work, array)
    weights = tiles(np.full_like(work.K, images), parameters["n"]) * tiles(work.P, parameters["e"])
    return weights, tiles(work.group_outputs, parameters["m"])
