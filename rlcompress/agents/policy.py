"""`CompositePolicy`: joins the actor's knobs and the discrete part's index into one flattened action."""

from typing import Any

import torch as th
from gymnasium import spaces
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.td3.policies import Actor, TD3Policy
from torch import nn

from rlcompress.agents.actions import encode_tensor
from rlcompress.agents.rainbow.network import RainbowNetwork


def last_layer(actor: Actor) -> nn.Linear:
    """The actor's last linear layer, before the tanh."""
    layer = actor.mu[-2]
    assert isinstance(layer, nn.Linear)  # SB3's create_mlp ends in Linear, Tanh
    return layer


class CompositePolicy(BasePolicy):
    """An actor for the knobs and a Q-network for the discrete action, each conditioned on the other (P-DQN).

    As in P-DQN (Xiong et al. 2018, section 4) the actor proposes knobs x_k(s) for every index k, and the index is
    the k of highest Q(s, k, x_k(s)). The parts' policies are built by their own algorithms and attached, so that
    they are saved once, here.

    Args:
        observation_space: of the environment.
        action_space: of the environment.
        lr_schedule: not used, as the parts' policies have their own.
        discrete_actions: number n of discrete actions.
        knobs_per_index: whether the actor sees the index; if not, its knobs are the same for all indices.
        condition_on_knobs: whether the discrete part sees the knobs.
        condition_on_features: whether it sees the actor's last hidden layer (no gradient flows back).
        parts: class and arguments of the continuous and the discrete policy to build, as a saved policy has them;
            None where they will be attached.
    """

    continuous: TD3Policy
    discrete: DQNPolicy | QRDQNPolicy

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        *,
        discrete_actions: int,
        knobs_per_index: bool,
        condition_on_knobs: bool,
        condition_on_features: bool,
        parts: list[tuple[type[BasePolicy], dict[str, Any]]] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=True)
        self.discrete_actions = discrete_actions
        self.knobs_per_index = knobs_per_index
        self.condition_on_knobs = condition_on_knobs
        self.condition_on_features = condition_on_features
        if parts is not None:
            self.attach(*(policy(**arguments) for policy, arguments in parts))  # type: ignore[arg-type]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "discrete_actions": self.discrete_actions,
            "knobs_per_index": self.knobs_per_index,
            "condition_on_knobs": self.condition_on_knobs,
            "condition_on_features": self.condition_on_features,
            "parts": [(type(part), part._get_constructor_parameters()) for part in (self.continuous, self.discrete)],
        }

    def attach(self, continuous: TD3Policy, discrete: DQNPolicy | QRDQNPolicy) -> None:
        """Take over the parts' policies."""
        self.continuous = continuous
        self.discrete = discrete

    def actor_input(self, observations: th.Tensor, index: th.Tensor) -> th.Tensor:
        """What the actor sees: observations [B, observation], with the index [B] one-hot if it has knobs per index."""
        if not self.knobs_per_index:
            return observations
        return th.cat([observations, nn.functional.one_hot(index, self.discrete_actions).float()], dim=1)

    @th.no_grad()
    def propose(self, observations: th.Tensor, actor: Actor) -> tuple[th.Tensor, th.Tensor]:
        """The actor's knobs for every index.

        Returns:
            Knobs [B, n, knobs] ([B, 1, knobs] without knobs per index), and the actor's last hidden layer [B, width],
            averaged over the indices.
        """
        count = self.discrete_actions if self.knobs_per_index else 1
        index = th.arange(count, device=observations.device).repeat(len(observations))
        hidden = actor.mu[:-2](self.actor_input(observations.repeat_interleave(count, dim=0), index))
        knobs = actor.mu[-2:](hidden)
        return knobs.unflatten(0, (-1, count)), hidden.unflatten(0, (-1, count)).mean(dim=1)

    def discrete_input(self, observations: th.Tensor, knobs: th.Tensor, features: th.Tensor) -> th.Tensor:
        """What the discrete part sees: [B, observation (+ features) (+ all proposed knobs)]."""
        parts = [observations]
        if self.condition_on_features:
            parts.append(features)
        if self.condition_on_knobs:
            parts.append(knobs.flatten(1))
        return th.cat(parts, dim=1)

    def select(self, knobs: th.Tensor, index: th.Tensor) -> th.Tensor:
        """Of the proposed ``knobs``, those [B, knobs] that belong to ``index`` [B]."""
        return knobs[th.arange(len(knobs)), self._place(index)]

    def replace(self, knobs: th.Tensor, index: th.Tensor, executed: th.Tensor) -> th.Tensor:
        """The proposed ``knobs`` with those of ``index`` [B] replaced by the ``executed`` ones [B, knobs]."""
        replaced = knobs.clone()
        replaced[th.arange(len(knobs)), self._place(index)] = executed
        return replaced

    def _place(self, index: th.Tensor) -> th.Tensor:
        return index if self.knobs_per_index else th.zeros_like(index)

    def forward(self, observation: th.Tensor, deterministic: bool = True) -> th.Tensor:
        """Flattened actions [B, 1 + knobs] in [-1, 1]."""
        return self._predict(observation, deterministic)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> th.Tensor:
        assert isinstance(observation, th.Tensor)  # the agent refuses dictionary observations
        knobs, features = self.propose(observation, self.continuous.actor)
        seen = self.discrete_input(observation, knobs, features)
        return self._flatten(self.discrete._predict(seen, deterministic=deterministic), knobs)

    @th.no_grad()
    def explore(self, observations: th.Tensor, noise_std: float, epsilon: float) -> th.Tensor:
        """Actions to learn from: Gaussian noise on the knobs, epsilon-greedy in each environment on the index.

        Args:
            observations: [B, observation].
            noise_std: standard deviation on the scale of [-1, 1].
            epsilon: probability of a uniform random index.

        Returns:
            Flattened actions [B, 1 + knobs] in [-1, 1].
        """
        knobs, features = self.propose(observations, self.continuous.actor)
        knobs = (knobs + noise_std * th.randn_like(knobs)).clamp(-1.0, 1.0)
        seen = self.discrete_input(observations, knobs, features)
        index = self.discrete._predict(seen, deterministic=False)
        anything = th.randint_like(index, self.discrete_actions)
        index = th.where(th.rand(index.shape, device=index.device) < epsilon, anything, index)
        return self._flatten(index, knobs)

    def _flatten(self, index: th.Tensor, knobs: th.Tensor) -> th.Tensor:
        return th.cat([encode_tensor(index, self.discrete_actions)[:, None], self.select(knobs, index)], dim=1)

    def q_values(self, seen: th.Tensor) -> th.Tensor:
        """Q-values [B, n] of what the discrete part sees, without exploration noise."""
        online, _ = self._discrete_networks()
        if isinstance(online, RainbowNetwork):
            online.zero_noise()
        values: th.Tensor = online(seen)
        return values.mean(dim=1) if isinstance(online, QuantileNetwork) else values

    def copy_to_targets(self) -> None:
        """Set the target networks of actor and discrete part to the online networks' weights."""
        online, target = self._discrete_networks()
        target.load_state_dict(online.state_dict())
        self.continuous.actor_target.load_state_dict(self.continuous.actor.state_dict())

    def _discrete_networks(self) -> tuple[BasePolicy, BasePolicy]:
        if isinstance(self.discrete, QRDQNPolicy):
            return self.discrete.quantile_net, self.discrete.quantile_net_target
        return self.discrete.q_net, self.discrete.q_net_target

    def set_training_mode(self, mode: bool) -> None:
        """Switch the parts; their target networks stay in evaluation mode."""
        self.continuous.set_training_mode(mode)
        self.discrete.set_training_mode(mode)
        self.training = mode
