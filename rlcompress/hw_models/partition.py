"""Several accelerators that share a layer by its output channels (equation 12)."""

from dataclasses import replace

import numpy as np

from rlcompress.hw_models.work import ADD, DEPTHWISE, POOL, Floats, Work


def share(work: Work, accelerators: int) -> tuple[Work, Floats]:
    """The largest share of every operator, and how many such shares the operator makes.

    A reduction over input channels stays whole, so that every accelerator reads all inputs; channels of depthwise
    layers, pools and sums are split with their inputs.
    """
    outputs = np.ceil(work.K / accelerators)
    split = np.isin(work.kind, (DEPTHWISE, POOL, ADD))
    inputs = np.where(split, np.ceil(work.C / accelerators), work.C)
    groups = np.where(split, np.ceil(work.G / accelerators), np.minimum(work.G, outputs))
    groups = np.where(work.G > 1, np.maximum(1.0, groups), work.G)
    inputs = np.where(split | (work.G <= 1), inputs, np.ceil(work.C / work.G) * groups)
    count = work.K / outputs
    return replace(work, K=outputs, C=inputs, G=groups, hidden_bits=work.hidden_bits / count), count
