"""`CompositeSettings`: every hyper-parameter of the composite agent in one place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal, Self, get_args

from pydantic import TypeAdapter, ValidationError

from rlcompress.agents.rainbow import RainbowComponents
from rlcompress.errors import AgentError, first_problem

Discrete = Literal["rainbow", "qrdqn", "dqn"]
Continuous = Literal["td3", "ddpg"]

_RAINBOW = RainbowComponents(v_min=-3.0, v_max=3.0, noisy=False)

_NETWORK = (
    "discrete",
    "continuous",
    "net_arch",
    "knobs_per_index",
    "condition_on_knobs",
    "condition_on_features",
    "n_quantiles",
)
_ALGORITHM = (
    "learning_rate",
    "buffer_size",
    "learning_starts",
    "batch_size",
    "tau",
    "gamma",
    "train_freq",
    "gradient_steps",
)

_RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (0.0, 1.0),
    "discrete_learning_rate": (0.0, 1.0),
    "gamma": (0.0, 1.0),
    "tau": (0.0, 1.0),
    "target_tau": (0.0, 1.0),
    "noise_std": (0.0, 2.0),
    "exploration_fraction": (0.0, 1.0),
    "exploration_initial_eps": (0.0, 1.0),
    "exploration_final_eps": (0.0, 1.0),
    "actor_last_layer": (0.0, 1.0),
    "decay": (0.0, 1.0),
    "buffer_size": (1, 10_000_000),
    "learning_starts": (0, float("inf")),
    "batch_size": (1, 1_000_000),
    "target_update_interval": (1, float("inf")),
    "actor_warmup": (0, float("inf")),
    "policy_delay": (1, float("inf")),
    "gradient_steps": (-1, float("inf")),
    "n_quantiles": (1, 10_000),
}


@dataclass(frozen=True, kw_only=True)
class CompositeSettings:
    """Hyper-parameters of `CompositeAgent`.

    Attributes:
        discrete: algorithm of the discrete part: ``rainbow`` (Hessel et al. 2018), ``qrdqn`` (Dabney et al. 2018) or
            ``dqn`` (Mnih et al. 2015).
        continuous: algorithm of the knobs: ``td3`` (Fujimoto et al. 2018) or ``ddpg`` (Lillicrap et al. 2016).
        net_arch: hidden widths of every network (actor, critics, Q-networks).
        learning_rate: Adam's learning rate of actor and critics.
        discrete_learning_rate: Adam's learning rate of the discrete part.
        buffer_size: transitions that the shared replay buffer holds.
        learning_starts: environment steps before the first update.
        random_warmup: uniform random actions during those steps; otherwise the (for instance cloned) policy acts.
        batch_size: transitions in a minibatch.
        gamma: discount factor a step. The default suits near-immediate rewards from potential-based shaping.
        tau: Polyak coefficient of the continuous part's target networks, applied every ``policy_delay`` updates.
        train_freq: update every so many steps, or ``(count, "step" | "episode")``.
        gradient_steps: updates each time; -1 for as many as environment steps were taken.
        noise_std: standard deviation of the Gaussian exploration noise on the knobs, on the scale of [-1, 1].
        exploration_fraction: share of training over which the epsilon of epsilon-greedy falls.
        exploration_initial_eps: its first value.
        exploration_final_eps: its last value.
        target_update_interval: environment steps between updates of the discrete target network; at least the
            number of environments.
        target_tau: Polyak coefficient of those updates.
        policy_delay: critic updates for one actor update (TD3).
        actor_last_layer: bound of the uniform initialisation of the actor's last layer (Lillicrap et al. 2016,
            section 7: 3e-3), so that the first knobs are about 0; 0 gives exactly 0, that is "no residual".
        decay: the actor's last layer is multiplied by ``1 - decay`` after every update, which pulls the knobs to 0.
        actor_warmup: updates during which only critics and discrete part learn and the (for instance cloned) actor
            stays as it is.
        knobs_per_index: the actor sees the index and proposes knobs for each: x_k(s) (P-DQN, Xiong et al. 2018).
        condition_on_knobs: the discrete part sees the proposed knobs: Q(s, k, x_k(s)).
        condition_on_features: the discrete part sees the actor's last hidden layer.
        n_quantiles: quantiles of QR-DQN.
        rainbow: Rainbow's switches and constants. The range of returns must hold what the environment can pay. Noisy
            layers are off: from a cloned start epsilon-greedy found better indices in a few thousand steps.

    Raises:
        AgentError: a value is unknown or out of its range.
    """

    discrete: Discrete = "rainbow"
    continuous: Continuous = "td3"
    net_arch: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    discrete_learning_rate: float = 1e-3
    buffer_size: int = 20_000
    learning_starts: int = 64
    random_warmup: bool = True
    batch_size: int = 64
    gamma: float = 0.3
    tau: float = 0.005
    train_freq: int | tuple[int, str] = 1
    gradient_steps: int = 1
    noise_std: float = 0.1
    exploration_fraction: float = 0.5
    exploration_initial_eps: float = 0.2
    exploration_final_eps: float = 0.05
    target_update_interval: int = 10
    target_tau: float = 0.05
    policy_delay: int = 2
    actor_last_layer: float = 3e-3
    decay: float = 0.0
    actor_warmup: int = 0
    knobs_per_index: bool = True
    condition_on_knobs: bool = True
    condition_on_features: bool = True
    n_quantiles: int = 25
    rainbow: RainbowComponents = _RAINBOW

    def __post_init__(self) -> None:
        for name, options in (("discrete", get_args(Discrete)), ("continuous", get_args(Continuous))):
            if getattr(self, name) not in options:
                raise AgentError(f"{name} must be one of {', '.join(options)}, got {getattr(self, name)!r}")
        _check_numbers(vars(self))
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise AgentError(f"{name} must lie between {low:g} and {high:g}, got {getattr(self, name)}")
        if not self.net_arch or min(self.net_arch) < 1:
            raise AgentError(f"net_arch must name at least one hidden layer of positive width, got {self.net_arch}")
        count = self.train_freq[0] if isinstance(self.train_freq, tuple) else self.train_freq
        if count < 1:
            raise AgentError(f"train_freq must be at least 1, got {count}")
        if isinstance(self.train_freq, tuple) and self.train_freq[1] not in ("step", "episode"):
            raise AgentError(f"train_freq's unit must be 'step' or 'episode', got {self.train_freq[1]!r}")

    @property
    def algorithm_arguments(self) -> dict[str, Any]:
        """Those settings that are keyword arguments of SB3's ``OffPolicyAlgorithm``."""
        return {name: getattr(self, name) for name in _ALGORITHM}

    @property
    def network(self) -> dict[str, Any]:
        """The settings that the networks are made of, which stay as they are once they are trained."""
        rainbow = self.rainbow.network if self.discrete == "rainbow" else {}
        own = {name: getattr(self, name) for name in _NETWORK}
        return own | {f"rainbow.{name}": value for name, value in rainbow.items()}

    @property
    def replay_arguments(self) -> dict[str, Any]:
        """Keyword arguments of the shared `PrioritizedReplayBuffer`; only Rainbow draws by priority."""
        if self.discrete == "rainbow":
            return self.rainbow.replay_arguments(self.gamma)
        return {"multi_step": 1, "gamma": self.gamma, "alpha": 0.0}

    def with_changes(self, changes: Mapping[str, Any]) -> Self:
        """These settings with some of them replaced.

        Args:
            changes: name to value, as from keyword arguments or a YAML file: lists stand for tuples, and a mapping at
                ``rainbow`` replaces single components.

        Raises:
            AgentError: a name is no setting, or a value is wrong.
        """
        values = {**vars(self), **changes}
        if isinstance(values["rainbow"], Mapping):
            values["rainbow"] = {**vars(self.rainbow), **values["rainbow"]}
        return self.parse(values)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a stranger's mapping, of which nothing is believed, types included.

        Raises:
            AgentError: a name is no setting, or a value is of another type or out of its range.
        """
        _check_names(CompositeSettings, values)
        if isinstance(values.get("rainbow"), Mapping):
            _check_names(RainbowComponents, values["rainbow"])
        _check_numbers(values)
        try:
            return TypeAdapter(cls).validate_python(dict(values))
        except ValidationError as error:
            raise AgentError(first_problem(error)) from None


def _check_numbers(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name in _RANGES and not isinstance(value, Real):
            mend = "to change it in training, save and load with another" if callable(value) else "give one"
            raise AgentError(f"{name} must be a number, got a {type(value).__name__}; {mend}")


def _check_names(settings: type[CompositeSettings | RainbowComponents], names: Iterable[str]) -> None:
    known = sorted(entry.name for entry in fields(settings))
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise AgentError(f"unknown agent setting {unknown[0]!r}; choose from {', '.join(known)}")
