"""The search methods by name: each proposes policies to a problem until its budget is spent."""

from contextlib import closing, suppress
from functools import partial

from stable_baselines3 import DDPG, PPO, SAC, TD3
from stable_baselines3.common.type_aliases import MaybeCallback

from rlcompress.envs import BudgetSpent, Problem
from rlcompress.errors import RunError
from rlcompress.searches.methods.balaskas import balaskas2023
from rlcompress.searches.methods.base import Method
from rlcompress.searches.methods.composite import composite
from rlcompress.searches.methods.genetic import nsga2
from rlcompress.searches.methods.plans import dp, tsdp
from rlcompress.searches.methods.simple import random, uniform
from rlcompress.searches.methods.stock import stock
from rlcompress.searches.methods.tpe import tpe
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch

METHODS: dict[str, Method] = {
    "composite": composite,
    "composite-cold": partial(composite, cold=True),
    "td3": stock(TD3),
    "ddpg": stock(DDPG),
    "sac": stock(SAC),
    "ppo": stock(PPO),
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

LEARNING = ("composite", "composite-cold", "td3", "ddpg", "sac", "ppo", "balaskas2023")
"""Methods that are agents of Stable-Baselines3's kind, with callbacks."""


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


def propose(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """Run the method that the settings name until the problem's budget is spent or it has nothing more to propose."""
    with suppress(BudgetSpent), closing(problem):
        METHODS[settings.agent](problem, settings, watch)
