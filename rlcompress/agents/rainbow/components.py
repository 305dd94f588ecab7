"""`RainbowComponents`: which of Rainbow's parts are on, and their constants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlcompress.errors import AgentError

_MOST = 1000  # steps, and atoms
_FARTHEST = 1e6


@dataclass(frozen=True, kw_only=True)
class RainbowComponents:
    """Switches and constants of Rainbow (Hessel et al. 2018, table 1). All off is DQN with a uniform replay.

    Attributes:
        double: the online network chooses the next action, the target network values it (van Hasselt et al. 2016).
        dueling: state value and advantages in two streams (Wang et al. 2016).
        prioritized: transitions are drawn in proportion to their last error (Schaul et al. 2016).
        multi_step: rewards summed before bootstrapping (Sutton 1988); 1 is off.
        distributional: the return's distribution on fixed atoms (C51, Bellemare et al. 2017).
        noisy: learned noise in the streams' weights explores instead of epsilon-greedy (Fortunato et al. 2018).
        n_atoms: atoms of the distribution.
        v_min: lowest return that can be represented, in units of reward.
        v_max: highest return that can be represented, in units of reward.
        alpha: exponent of the priorities.
        beta: initial exponent of the importance weights; rises to 1 over training and never falls.
        sigma: initial scale of the learned noise.

    Raises:
        AgentError: a constant is out of its range.
    """

    double: bool = True
    dueling: bool = True
    prioritized: bool = True
    multi_step: int = 3
    distributional: bool = True
    noisy: bool = True
    n_atoms: int = 51
    v_min: float = -10.0
    v_max: float = 10.0
    alpha: float = 0.5
    beta: float = 0.4
    sigma: float = 0.5

    def __post_init__(self) -> None:
        for name, least in (("multi_step", 1), ("n_atoms", 2)):
            if not least <= getattr(self, name) <= _MOST:
                raise AgentError(f"{name} must lie between {least} and {_MOST}, got {getattr(self, name)}")
        if not -_FARTHEST <= self.v_min < self.v_max <= _FARTHEST:
            raise AgentError(
                f"v_min must lie below v_max, both within {_FARTHEST:g} of 0, got {self.v_min} and {self.v_max}"
            )
        for name in ("alpha", "beta", "sigma"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise AgentError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")

    @property
    def network(self) -> dict[str, Any]:
        """The fields that the network is made of, which stay as they are once it is trained."""
        names = ("dueling", "distributional", "noisy", "n_atoms", "v_min", "v_max")
        return {name: getattr(self, name) for name in names}

    def replay_arguments(self, gamma: float) -> dict[str, Any]:
        """Keyword arguments of `PrioritizedReplayBuffer`; exponent 0 makes its draws uniform."""
        return {"multi_step": self.multi_step, "gamma": gamma, "alpha": self.alpha if self.prioritized else 0.0}


def check_network(trained: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to change what a trained network is made of.

    Args:
        trained: name to value, as the network was trained.
        wanted: the same names.

    Raises:
        AgentError: a value differs.
    """
    for name, value in trained.items():
        if wanted[name] != value:
            raise AgentError(
                f"{name} is part of the trained network and stays {value!r}, got {wanted[name]!r}; train a new agent"
            )
