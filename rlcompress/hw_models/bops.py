"""Bit operations: a target that needs no hardware, for comparison with work that reports it."""

import numpy as np

from rlcompress.hw_models.network import Policy, Rules, Specs, prepare, under
from rlcompress.hw_models.parts import Residency
from rlcompress.hw_models.work import Floats
from rlcompress.spec import ChoiceBatch


def bops_of(specs: Specs, batch: ChoiceBatch) -> Floats:
    """[B] bit operations of an inference: MACs of what stays, times density, weight bits and activation bits.

    Wang et al., Differentiable joint pruning and quantization (DJPQ), ECCV 2020, equation 9.
    """
    network = prepare(specs)
    work = network.work(batch, Rules(Residency()))
    each = work.macs * work.density * work.weight_bits * work.activation_bits
    return np.asarray(each.reshape(len(network.specs), -1).sum(axis=0))


def bops(specs: Specs, policy: Policy) -> float:
    """Bit operations of an inference under a policy."""
    network, choices = under(prepare(specs), policy)
    return float(bops_of(network.structure, ChoiceBatch.of([choices], network.structure.layers))[0])
