"""`CompositePolicy`: joins the actor's knobs and the discrete part's index into one flattened action."""

from typing import Any

import torch as th
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.td3.policies import Actor, TD3Policy
from torch import nn

from rlcompress.agents.actions import encode_tensor
from rlcompress.agents.rainbow.network import RainbowNetwork


def hidden_layers(actor: Actor) -> nn.Sequential:
    """The actor without its last linear layer and tanh."""
    return nn.Sequential(*list(actor.mu)[:-2])


def last_layer(actor: Actor) -> nn.Linear:
    """The actor's last linear layer, before the tanh."""
    layer = actor.mu[-2]
    assert isinstance(layer, nn.Linear)  # SB3's create_mlp ends in Linear, Tanh
    return layer


class CompositePolicy(BasePolicy):
    """An actor for the knobs and, conditioned on what it does, a Q-network for the discrete action.

    The parts' policies are built by their own algorithms and attached, so that they are saved once, here.

    Args:
        discrete_actions: number of discrete actions.
        condition_on_knobs: the discrete part sees the knobs it is executed with: Q(s, knobs, .), as in P-DQN
            (Xiong et al. 2018, eq. 5).
        condition_on_features: it also sees the actor's last hidden layer (no gradient flows back).
    """

    continuous: TD3Policy
    discrete: DQNPolicy | QRDQNPolicy

    def __init__(
        self,
        *args: Any,
        discrete_actions: int,
        condition_on_knobs: bool,
        condition_on_features: bool,
    ) -> None:
        observation_space, action_space, _lr_schedule = args
        super().__init__(observation_space, action_space, squash_output=True)
        self.discrete_actions = discrete_actions
        self.condition_on_knobs = condition_on_knobs
        self.condition_on_features = condition_on_features

    def attach(self, continuous: TD3Policy, discrete: DQNPolicy | QRDQNPolicy) -> None:
        """Take over the parts' policies."""
        self.continuous = continuous
        self.discrete = discrete

    @th.no_grad()
    def condition(self, observations: th.Tensor, knobs: th.Tensor, actor: Actor) -> th.Tensor:
        """What the discrete part sees.

        Args:
            observations: [B, observation].
            knobs: [B, knobs] that are or were executed.
            actor: whose features to add.

        Returns:
            [B, observation (+ features) (+ knobs)].
        """
        parts = [observations]
        if self.condition_on_features:
            parts.append(hidden_layers(actor)(actor.extract_features(observations, actor.features_extractor)))
        if self.condition_on_knobs:
            parts.append(knobs)
        return th.cat(parts, dim=1)

    def forward(self, observation: th.Tensor, deterministic: bool = True) -> th.Tensor:
        """Flattened actions [B, 1 + knobs] in [-1, 1]."""
        return self._predict(observation, deterministic)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> th.Tensor:
        assert isinstance(observation, th.Tensor)  # the agent refuses dictionary observations
        return self._join(observation, self.continuous.actor(observation), 0.0, deterministic)

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
        knobs = self.continuous.actor(observations)
        knobs = (knobs + noise_std * th.randn_like(knobs)).clamp(-1.0, 1.0)
        return self._join(observations, knobs, epsilon, deterministic=False)

    def _join(self, observations: th.Tensor, knobs: th.Tensor, epsilon: float, deterministic: bool) -> th.Tensor:
        seen = self.condition(observations, knobs, self.continuous.actor)
        index = self.discrete._predict(seen, deterministic=deterministic)
        anything = th.randint_like(index, self.discrete_actions)
        index = th.where(th.rand(index.shape, device=index.device) < epsilon, anything, index)
        return th.cat([encode_tensor(index, self.discrete_actions)[:, None], knobs], dim=1)

    def q_values(self, seen: th.Tensor) -> th.Tensor:
        """Q-values [B, indices] of what the discrete part sees, without exploration noise."""
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
