"""`Rainbow`: DQN with six improvements, each of which can be switched off."""

from dataclasses import fields, replace
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback

from rlcompress.agents.rainbow.components import RainbowComponents
from rlcompress.agents.rainbow.network import RainbowNetwork
from rlcompress.agents.rainbow.policy import RainbowPolicy
from rlcompress.agents.rainbow.replay import PrioritizedReplayBuffer, PrioritizedSamples
from rlcompress.agents.rainbow.targets import divergence, importance_weights, project

SelfRainbow = TypeVar("SelfRainbow", bound="Rainbow")

_COMPONENTS = {field.name for field in fields(RainbowComponents)}


class Rainbow(DQN):
    """Rainbow (Hessel et al. 2018) for any environment with discrete actions.

    Example: ``Rainbow("MlpPolicy", "CartPole-v1", noisy=False, v_min=0.0, v_max=100.0).learn(50_000)``.

    Args:
        policy: ``"MlpPolicy"`` or a `RainbowPolicy`.
        env: environment or its registered name.
        components: switches and constants; None for the defaults (everything on).
        arguments: single fields of `RainbowComponents`, such as ``dueling=False``, and the arguments of SB3's ``DQN``
            except ``n_steps`` (here ``multi_step``) and the replay buffer's. With ``noisy`` there is no
            epsilon-greedy exploration.

    Raises:
        AgentError: a component's constant is out of its range.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": RainbowPolicy}
    policy: RainbowPolicy
    q_net: RainbowNetwork  # type: ignore[assignment]  # has SB3's QNetwork's interface without being one
    q_net_target: RainbowNetwork  # type: ignore[assignment]

    def __init__(
        self,
        policy: str | type[RainbowPolicy],
        env: GymEnv | str,
        components: RainbowComponents | None = None,
        _init_setup_model: bool = True,
        **arguments: Any,
    ) -> None:
        changes = {name: arguments.pop(name) for name in _COMPONENTS & arguments.keys()}
        self.components = replace(components or RainbowComponents(), **changes)
        if self.components.noisy:
            arguments |= {"exploration_initial_eps": 0.0, "exploration_final_eps": 0.0}
        super().__init__(
            policy,
            env,
            replay_buffer_class=PrioritizedReplayBuffer,
            _init_setup_model=False,
            **arguments,
        )
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self.replay_buffer_kwargs = self.components.replay_arguments(self.gamma)
        self.policy_kwargs = {**self.policy_kwargs, "components": self.components}
        super()._setup_model()

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Update the network ``gradient_steps`` times on minibatches of ``batch_size`` transitions."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = [self._update(batch_size) for _ in range(gradient_steps)]
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses))

    def _update(self, batch_size: int) -> float:
        replay = cast(PrioritizedReplayBuffer, self.replay_buffer)
        samples = replay.sample(batch_size, env=self._vec_normalize_env)
        self.q_net.sample_noise()
        self.q_net_target.sample_noise()
        losses, errors = self._distribution_loss(samples) if self.components.distributional else self._loss(samples)
        beta = 1.0 - (1.0 - self.components.beta) * self._current_progress_remaining
        loss = (importance_weights(samples.probabilities, beta) * losses).mean()
        self.policy.optimizer.zero_grad()
        loss.backward()
        th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        replay.update_priorities(samples.positions, errors.detach().cpu().numpy())
        return loss.item()

    def _loss(self, samples: PrioritizedSamples) -> tuple[th.Tensor, th.Tensor]:
        """Huber loss [B] of the temporal difference, and the difference itself as priority."""
        current = self.q_net(samples.observations).gather(1, samples.actions.long())
        with th.no_grad():
            following = self.q_net_target(samples.next_observations).gather(1, self._next_actions(samples))
            target = samples.rewards + (1.0 - samples.dones) * samples.discounts * following
        return th.nn.functional.smooth_l1_loss(current, target, reduction="none")[:, 0], (current - target)[:, 0]

    def _distribution_loss(self, samples: PrioritizedSamples) -> tuple[th.Tensor, th.Tensor]:
        """Divergence [B] from the projected target, which is the priority too (Rainbow, section 3)."""
        rows = th.arange(len(samples.actions), device=self.device)
        with th.no_grad():
            following = self.q_net_target.outputs(samples.next_observations)[rows, self._next_actions(samples)[:, 0]]
            discounts = (1.0 - samples.dones) * samples.discounts
            target = project(following.exp(), samples.rewards, discounts, self.q_net.support)
        losses = divergence(target, self.q_net.outputs(samples.observations)[rows, samples.actions[:, 0].long()])
        return losses, losses

    def _next_actions(self, samples: PrioritizedSamples) -> th.Tensor:
        """Greedy next actions [B, 1]: the online network's if ``double``, else the target network's."""
        chooser = self.q_net if self.components.double else self.q_net_target
        return chooser.forward(samples.next_observations).argmax(dim=1, keepdim=True)

    def learn(
        self: SelfRainbow,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str = "Rainbow",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> SelfRainbow:
        """Learn for ``total_timesteps`` environment steps; the arguments are SB3's."""
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)
