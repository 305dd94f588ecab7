"""The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) of optuna, an optional dependency."""

import math
from functools import partial
from typing import Any

import numpy as np

from rlcompress.envs import Outcome, Problem, policy_id
from rlcompress.errors import RunError
from rlcompress.planning import ChoiceSpace
from rlcompress.searches.methods.base import KNOWN_IN_A_ROW, planned
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch
from rlcompress.spec import GRANULARITIES, ChoiceBatch


def tpe(problem: Problem, settings: SearchSettings, watch: Watch, *, cold: bool = False) -> None:
    """Makes ln(target) + ln(1 + points beyond the allowed drop) small; starts from the planner's policies unless cold.

    Raises:
        RunError: optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise RunError("the agent 'tpe' needs optuna; install the extra 'classic'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=settings.seed))
    distributions = _distributions(problem.space)
    value_of = partial(_value, max_drop=settings.candidate_goals[0], point=problem.evaluator.metric.point)
    for outcome in [] if cold else planned(problem, settings):
        params, value = _parameters(problem.space, outcome.choices), value_of(outcome)
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
    known = 0
    while known < KNOWN_IN_A_ROW:
        trial = study.ask(distributions)
        policy = _policy(problem.space, trial.params)
        known = known + 1 if policy_id(policy) in problem.outcomes else 0
        study.tell(trial, value_of(problem.evaluate(policy, "tpe")))


def _value(outcome: Outcome, max_drop: float, point: float) -> float:
    return math.log(1.0 - outcome.saved_pct / 100.0) + math.log1p(max(0.0, outcome.score.drop - max_drop) / point)


def _distributions(space: ChoiceSpace) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    bits = IntDistribution(space.min_bits, space.max_bits)
    found: dict[str, Any] = {}
    for layer in range(len(space.layers)):
        found[f"granularity {layer}"] = CategoricalDistribution(space.allowed(layer))
        found[f"keep {layer}"] = IntDistribution(0, len(space.keep_ratios) - 1)
        found[f"weight bits {layer}"] = bits
        if space.reader[layer] == layer:
            found[f"activation bits {layer}"] = bits
    return found


def _parameters(space: ChoiceSpace, policy: ChoiceBatch) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for layer in range(len(space.layers)):
        granularity = GRANULARITIES[policy.granularity[0, layer]]
        values[f"granularity {layer}"] = granularity if granularity in space.allowed(layer) else "none"
        keep = int(np.abs(space.keep_ratios - policy.keep_ratio[0, layer]).argmin())
        values[f"keep {layer}"] = keep
        values[f"weight bits {layer}"] = int(policy.weight_bits[0, layer].clip(space.min_bits, space.max_bits))
        if space.reader[layer] == layer:
            bits = policy.activation_bits[0, layer].clip(space.min_bits, space.max_bits)
            values[f"activation bits {layer}"] = int(bits)
    return values


def _policy(space: ChoiceSpace, values: dict[str, Any]) -> ChoiceBatch:
    policy = space.uniform(space.max_bits)
    for layer in range(len(space.layers)):
        name = values[f"granularity {layer}"]
        policy.granularity[0, layer] = GRANULARITIES.index(name)
        policy.keep_ratio[0, layer] = 1.0 if name == "none" else space.keep_ratios[values[f"keep {layer}"]]
        policy.weight_bits[0, layer] = values[f"weight bits {layer}"]
        policy.activation_bits[0, layer] = values[f"activation bits {space.reader[layer]}"]
    return space.snapped(policy)
