"""`Rainbow`: DQN with six improvements, each of which can be switched off."""

import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule

from rlcompress.agents.rainbow.algorithm import PrioritizedAlgorithm
from rlcompress.agents.rainbow.components import RainbowComponents, check_network
from rlcompress.agents.rainbow.network import RainbowNetwork
from rlcompress.agents.rainbow.policy import RainbowPolicy
from rlcompress.agents.rainbow.replay import PrioritizedReplayBuffer, PrioritizedSamples
from rlcompress.agents.rainbow.targets import divergence, importance_weights, leaving, project
from rlcompress.errors import AgentError, RlcompressWarning

SelfRainbow = TypeVar("SelfRainbow", bound="Rainbow")

_COMPONENTS = {field.name for field in fields(RainbowComponents)}
_MOST_LEAVING = 0.5  # share of a batch's targets beyond the support, above which it is warned of


class Rainbow(PrioritizedAlgorithm, DQN):
    """Rainbow (Hessel et al. 2018) for any environment with discrete actions.

    The support must hold the discounted returns: the share of targets beyond it is logged as
    ``train/clipped_targets``. Where a step is rewarded with 1, they stay below 1 / (1 - gamma). This reaches 500, the
    highest return, as a mean of 10 episodes (other seeds were not tried)::

        Rainbow("MlpPolicy", "CartPole-v1", 1e-3, batch_size=64, buffer_size=50_000, learning_starts=500, train_freq=1,
                target_update_interval=250, gamma=0.99, v_min=0.0, v_max=100.0, seed=0).learn(20_000)

    Args:
        policy: ``"MlpPolicy"`` or a `RainbowPolicy`.
        env: environment or its registered name.
        learning_rate: Adam's, or a schedule as in SB3.
        components: switches and constants; None for the defaults (everything on).
        replay_buffer_kwargs: further arguments of the `PrioritizedReplayBuffer`, such as
            ``handle_timeout_termination``.
        arguments: single fields of `RainbowComponents`, such as ``dueling=False``, and the arguments of SB3's ``DQN``
            except ``n_steps`` (here ``multi_step``) and the replay buffer's class. With ``noisy`` there is no
            epsilon-greedy exploration.

    Raises:
        AgentError: a component's constant is out of its range, or an argument of the replay buffer is set elsewhere.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": RainbowPolicy}
    policy: RainbowPolicy
    q_net: RainbowNetwork  # type: ignore[assignment]  # has SB3's QNetwork's interface without being one
    q_net_target: RainbowNetwork  # type: ignore[assignment]

    def __init__(
        self,
        policy: str | type[RainbowPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 1e-4,
        *,
        components: RainbowComponents | None = None,
        replay_buffer_kwargs: dict[str, Any] | None = None,
        _init_setup_model: bool = True,
        **arguments: Any,
    ) -> None:
        changes = {name: arguments.pop(name) for name in _COMPONENTS & arguments.keys()}
        self.components = replace(components or RainbowComponents(), **changes)
        if self.components.noisy:
            arguments |= {"exploration_initial_eps": 0.0, "exploration_final_eps": 0.0}
        _check_replay_arguments(replay_buffer_kwargs or {}, self.components)
        self._beta = 0.0
        self._warned_of_support = False
        super().__init__(
            policy,
            env,
            learning_rate,
            replay_buffer_class=PrioritizedReplayBuffer,
            replay_buffer_kwargs=replay_buffer_kwargs,
            _init_setup_model=False,
            **arguments,
        )
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self.replay_buffer_kwargs = {**self.replay_buffer_kwargs, **self.components.replay_arguments(self.gamma)}
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
        samples = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
        self.q_net.sample_noise()
        self.q_net_target.sample_noise()
        losses, errors = self._distribution_loss(samples) if self.components.distributional else self._loss(samples)
        self._beta = max(self._beta, 1.0 - (1.0 - self.components.beta) * self._current_progress_remaining)
        loss = (importance_weights(samples.probabilities, self._beta) * losses).mean()
        self.policy.optimizer.zero_grad()
        loss.backward()
        th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        self.replay_buffer.update_priorities(samples.positions, errors.detach().cpu().numpy())
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
            arguments = following.exp(), samples.rewards, (1.0 - samples.dones) * samples.discounts, self.q_net.support
            target = project(*arguments)
            self._watch_support(leaving(*arguments).float().mean().item())
        losses = divergence(target, self.q_net.outputs(samples.observations)[rows, samples.actions[:, 0].long()])
        return losses, losses

    def _watch_support(self, share: float) -> None:
        self.logger.record_mean("train/clipped_targets", share)
        if share > _MOST_LEAVING and not self._warned_of_support:
            self._warned_of_support = True
            warnings.warn(
                f"{share:.0%} of the target returns lie beyond the support from {self.components.v_min:g} to "
                f"{self.components.v_max:g}: set v_min and v_max such that they hold the discounted returns",
                RlcompressWarning,
                stacklevel=2,
            )

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
        *,
        training_timesteps: int = 0,
    ) -> SelfRainbow:
        """Learn for ``total_timesteps`` environment steps.

        The arguments are SB3's, but for ``training_timesteps``: environment steps of the whole training if this is a
        part of it (with ``reset_num_timesteps=False``). Schedules run over the longer of the two.
        """
        self._training_timesteps = training_timesteps
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    @classmethod
    def _changed(cls, saved: Mapping[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        own = {name: changes.pop(name) for name in _COMPONENTS & changes.keys()}
        components = replace(changes.pop("components", None) or saved["components"], **own)
        check_network(saved["components"].network, components.network)
        _check_replay_arguments(changes.get("replay_buffer_kwargs") or {}, components)
        return {**changes, "components": components}


def _check_replay_arguments(arguments: Mapping[str, Any], components: RainbowComponents) -> None:
    """Refuse arguments of the replay buffer that come from elsewhere."""
    for name in sorted(arguments.keys() & components.replay_arguments(1.0).keys()):
        raise AgentError(f"replay_buffer_kwargs must not hold {name!r}; give {name}=... to Rainbow itself")
