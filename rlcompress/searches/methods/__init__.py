"""The search methods by name: each proposes policies to a problem until its budget is spent."""

import json
from contextlib import closing, suppress
from functools import partial

from stable_baselines3.common.type_aliases import MaybeCallback

from rlcompress.envs import BudgetSpent, Problem
from rlcompress.envs.settings import check_known
from rlcompress.errors import RunError
from rlcompress.searches.agent_settings import CompositeSearchSettings
from rlcompress.searches.methods.balaskas import balaskas2023
from rlcompress.searches.methods.base import Method
from rlcompress.searches.methods.chance import random
from rlcompress.searches.methods.composite import composite
from rlcompress.searches.methods.genetic import nsga2
from rlcompress.searches.methods.plans import dp, tsdp
from rlcompress.searches.methods.stock import STOCK, arguments_of, stock
from rlcompress.searches.methods.tpe import tpe
from rlcompress.searches.methods.uniform import uniform
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch

_COMPOSITE: dict[str, Method] = {"composite": composite, "composite-cold": partial(composite, cold=True)}

METHODS: dict[str, Method] = {
    **_COMPOSITE,
    **{name: stock(algorithm) for name, algorithm in STOCK.items()},
    "dp": dp,
    "tsdp": tsdp,
    "nsga2": nsga2,
    "nsga2-cold": partial(nsga2, cold=True),
    "tpe": tpe,
    "tpe-cold": partial(tpe, cold=True),
    "balaskas2023": balaskas2023,
    "uniform": uniform,
    "random": random,
}
"""Name on the command line -> method."""

LEARNING = (*_COMPOSITE, *STOCK, "balaskas2023")
"""Methods that are agents of Stable-Baselines3's kind, with callbacks."""

PLANNING = ("composite", "tsdp")
"""Methods that plan beside what was measured, candidates and final networks."""


def check_method(name: str, callback: MaybeCallback = None) -> str:
    """The name of a method.

    Raises:
        RunError: there is none of that name, or a callback is given for one that does not learn.
    """
    if name not in METHODS:
        raise RunError(f"unknown agent {name!r}; choose from {', '.join(METHODS)}")
    if callback is not None and name not in LEARNING:
        raise RunError(
            f"agent {name!r} does not learn, so it calls no callback; give on_progress, or one of {', '.join(LEARNING)}"
        )
    return name


def check_agent_settings(settings: SearchSettings) -> None:
    """See that the method takes the ``agent_settings``.

    Raises:
        RunError: it has none, an unknown one is among them, or the agent comes from a file that has its own.
        AgentError: one of the composite agent's is unknown or out of its range.
    """
    changes = settings.agent_settings
    if settings.agent in _COMPOSITE:
        how = CompositeSearchSettings().with_changes(changes)
        absolute = settings.agent == "composite-cold" or not how.residual
        if absolute and set(settings.problem.granularities) <= {"none"}:
            raise RunError(
                "an agent without plans to correct needs a pruning to choose beside none; add one to --granularities, "
                "or leave out --cold"
            )
        if settings.agent_from is not None and "agent" in changes:
            raise RunError("agent_from keeps the settings that its agent was trained with; leave out 'agent' of yours")
    elif settings.agent in STOCK:
        check_known(changes, arguments_of(STOCK[settings.agent]))
    elif changes:
        raise RunError(f"agent {settings.agent!r} has no agent_settings; leave them out, or choose composite")
    try:
        json.dumps(dict(changes))
    except (TypeError, ValueError):
        raise RunError("agent_settings are recorded as JSON; give numbers, texts, lists and mappings") from None


def propose(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Run the method that the settings name until the problem's budget is spent or it has nothing more to propose."""
    with suppress(BudgetSpent), closing(problem):
        METHODS[settings.agent](problem, settings, watch)
