"""`Outcome`: a policy that has really been evaluated."""

import hashlib
from dataclasses import dataclass

import numpy as np

from rlcompress.evaluation import Score
from rlcompress.spec import ChoiceBatch


class BudgetSpent(Exception):  # noqa: N818  # not an error: the search is done
    """The allowed number of real evaluations, or the time for them, has been used."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A policy that has really been evaluated.

    Attributes:
        number: of the evaluation, from 1.
        source: what proposed the policy.
        choices: the policy as a batch of one.
        energy_uj: an inference, in microjoules.
        latency_ms: an inference, in milliseconds.
        saved_pct: percent of the target saved against dense 8 bits.
        score: what the network still gets right.
    """

    number: int
    source: str
    choices: ChoiceBatch
    energy_uj: float
    latency_ms: float
    saved_pct: float
    score: Score


def policy_id(policy: ChoiceBatch) -> str:
    """Twelve hexadecimal digits that tell a batch of one from others."""
    digest = hashlib.sha256()
    for array in (policy.granularity, policy.keep_ratio, policy.weight_bits, policy.activation_bits):
        digest.update(np.ascontiguousarray(array).tobytes())
    if policy.criterion.any():
        digest.update(np.ascontiguousarray(policy.criterion).tobytes())
    if policy.weight_quantizer.any():
        digest.update(b"weight_quantizer" + np.ascontiguousarray(policy.weight_quantizer).tobytes())
    return digest.hexdigest()[:12]
