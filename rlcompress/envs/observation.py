"""What the agent sees: a vector whose size does not depend on the network.

Field by field, in order (see `FIELDS`); all values are scaled to the order of 1 and clipped to [-10, 10]:

static, of the layer to decide on
    position in the network; kind (conv, depthwise, linear); log2 of K, C, P x Q and R x S; stride; grouped; share of
    the network's MACs and weights; whether it decides on filter pruning for a group, follows a group, decides on the
    width of the tensor it reads, is the first or last layer; which granularities it is offered; its energy at 8 bits
    by level as shares of the network's; what some choices would save (change of the log target); log10 of the
    relative logit error of every weight width, of every activation width and, for every granularity, of some keep
    ratios (0 where it is not offered)
state, of the episode
    log target and predicted drop of the policy so far, completed by the plan; the goal; kept share of input channels;
    the planned choice; the choice executed last
"""

import numpy as np
from numpy.typing import NDArray

from rlcompress.envs.problem import Problem
from rlcompress.hw_models import LEVELS
from rlcompress.planning.batches import row
from rlcompress.spec import COMPRESSIBLE_KINDS, GRANULARITIES, KEEP_RATIO_STEP, ChoiceBatch

_PRUNINGS = GRANULARITIES[1:]
_PROBES = (
    ("none", 1.0, 4, 8), ("none", 1.0, 8, 4), ("none", 1.0, 4, 4), *((name, 0.5, 8, 8) for name in _PRUNINGS)
)  # fmt: skip
_PROBED_BITS = slice(2, 8)
_PROBED_KEEP = (0.8, 0.5, 0.2)
_CHOICE = len(GRANULARITIES) + 3
_POINTS = 5.0  # that drops are shares of

FIELDS: tuple[tuple[str, int], ...] = (
    ("position", 1),
    ("kind", len(COMPRESSIBLE_KINDS)),
    ("log_sizes", 4),
    ("stride_grouped", 2),
    ("mac_weight_share", 2),
    ("roles", 4),
    ("offered", len(_PRUNINGS)),
    ("energy_share", len(LEVELS)),
    ("savings", len(_PROBES)),
    ("weight_error", 6),
    ("activation_error", 6),
    ("pruning_error", len(_PRUNINGS) * len(_PROBED_KEEP)),
    ("log_cost", 1),
    ("predicted_drop", 1),
    ("goal", 1),
    ("kept_inputs", 1),
    ("plan", _CHOICE),
    ("previous", _CHOICE),
)
"""Name and number of values of each part of the observation."""

SIZE = sum(size for _, size in FIELDS)
LIMIT = 10.0


class Observer:
    """Writes observations for one problem; what does not change during an episode is computed once."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._static = np.concatenate(
            [
                _shapes(problem),
                _roles(problem),
                _offered(problem),
                _energy_share(problem),
                _savings(problem),
                _errors(problem),
            ],
            axis=1,
        )

    def observe(
        self, layer: int, policy: ChoiceBatch, plan: ChoiceBatch, drops: NDArray[np.float64], goals: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """The observations of B episodes before a layer is decided.

        Args:
            layer: position; the number of layers after the last one, which repeats the last layer's static part.
            policy: choices so far, completed by the plan: B policies.
            plan: the planner's policies.
            drops: [B] predicted drops of ``policy`` in points.
            goals: [B] allowed drops in points.

        Returns:
            float32 [B, SIZE].
        """
        count = len(goals)
        here, before = min(layer, len(self._static) - 1), max(layer - 1, 0)
        structure = self._problem.network.structure
        spec = structure.layer_index[here]
        kept = structure.kept_channels(policy)[1][:, spec] / structure.specs[spec].in_channels
        most = _POINTS * self._problem.evaluator.metric.point
        state = np.stack([self._problem.log_cost(policy), drops / most, goals / most, kept], axis=1)
        previous = _encoded(policy, before) if layer else np.zeros((count, _CHOICE))
        parts = [np.repeat(self._static[here][None], count, 0), state, _encoded(plan, here), previous]
        return np.clip(np.concatenate(parts, axis=1), -LIMIT, LIMIT).astype(np.float32)


def _encoded(policy: ChoiceBatch, layer: int) -> NDArray[np.float64]:
    """[B, choice] of one layer."""
    granularity = np.eye(len(GRANULARITIES))[policy.granularity[:, layer]]
    knobs = (policy.keep_ratio, policy.weight_bits / 8.0, policy.activation_bits / 8.0)
    return np.concatenate([granularity, *(knob[:, layer, None] for knob in knobs)], axis=1)


def _shapes(problem: Problem) -> NDArray[np.float64]:
    layers = problem.space.layers
    macs, weights = sum(s.macs for s in layers), sum(s.weights for s in layers)
    rows = []
    for i, s in enumerate(layers):
        sizes = (s.out_channels, s.in_channels, s.out_height * s.out_width, s.kernel_height * s.kernel_width)
        rows.append(
            [
                i / len(layers),
                *(float(s.kind == kind) for kind in COMPRESSIBLE_KINDS),
                *(np.log2(size) / 10.0 for size in sizes),
                s.stride / 2.0,
                float(s.groups > 1),
                s.macs / macs,
                s.weights / weights,
            ]
        )
    return np.array(rows)


def _roles(problem: Problem) -> NDArray[np.float64]:
    space, layer = problem.space, np.arange(len(problem.space.layers))
    coupled = np.array([spec.coupling is not None for spec in space.layers])
    leads, decides = space.leader == layer, space.reader == layer
    return np.stack([coupled & leads, ~leads, decides, np.isin(layer, space.ends)], axis=1).astype(np.float64)


def _offered(problem: Problem) -> NDArray[np.float64]:
    """[L, granularity] 1 where the layer may decide on pruning of that kind."""
    space, codes = problem.space, range(1, len(GRANULARITIES))
    return np.array([np.isin(codes, space.options(i)[0]) for i in range(len(space.layers))]).astype(np.float64)


def _energy_share(problem: Problem) -> NDArray[np.float64]:
    cost = problem.costs(problem.space.uniform(8))
    levels = np.stack([cost.level_pj[level][0, problem.network.structure.layer_index] for level in LEVELS], axis=1)
    total = float(cost.energy_pj[0])
    return np.asarray(levels / total if total else np.zeros_like(levels))  # tables may hold latencies alone


def _savings(problem: Problem) -> NDArray[np.float64]:
    space = problem.space
    base = space.snapped(space.uniform(8))
    rows = []
    for granularity, keep, weight_bits, activation_bits in _PROBES:
        batch = ChoiceBatch(*(np.repeat(a, len(space.layers), 0) for a in _arrays(base)))
        for i in range(len(space.layers)):
            batch.granularity[i, i], batch.keep_ratio[i, i] = GRANULARITIES.index(granularity), keep
            batch.weight_bits[i, i], batch.activation_bits[i, i] = weight_bits, activation_bits
        rows.append(problem.log_cost(space.snapped(batch)) - problem.log_cost(row(base, 0)))
    return np.stack(rows, axis=1) * 10.0


def _arrays(batch: ChoiceBatch) -> tuple[NDArray[np.generic], ...]:
    return batch.granularity, batch.keep_ratio, batch.weight_bits, batch.activation_bits


def _errors(problem: Problem) -> NDArray[np.float64]:
    proxy, variance = problem.planner.proxy, problem.evaluator.error_scale
    steps = np.rint(np.array(_PROBED_KEEP) / KEEP_RATIO_STEP).astype(np.int64)
    pruning = [proxy.pruning[:, GRANULARITIES.index(name)][:, steps] for name in _PRUNINGS]
    parts = [proxy.weight[:, _PROBED_BITS], proxy.activation[:, _PROBED_BITS], *pruning]
    known = [np.ones((len(pruning[0]), 12)), _offered(problem).repeat(len(steps), axis=1)]
    return np.log10(np.concatenate(parts, axis=1) / variance + 1e-8) / 4.0 * np.concatenate(known, axis=1)
