"""`CompositeAgent`: continuous knobs and a discrete action learned together on one replay buffer."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import ArrayLike
from sb3_contrib import QRDQN
from stable_baselines3 import DQN, TD3
from stable_baselines3.common.base_class import maybe_make_env
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback

from rlcompress.agents.actions import check_spaces, decode, executed_actions, join
from rlcompress.agents.imitation import Cloning, CloningResult, Transitions, check_demonstrations, clone, store
from rlcompress.agents.layout import Layout, check_layout, layout_of
from rlcompress.agents.logger import PrefixLogger
from rlcompress.agents.parts import actor_space, build_continuous, build_discrete, discrete_space
from rlcompress.agents.policy import CompositePolicy, last_layer
from rlcompress.agents.rainbow import PrioritizedReplayBuffer
from rlcompress.agents.rainbow.algorithm import PrioritizedAlgorithm
from rlcompress.agents.rainbow.components import check_network
from rlcompress.agents.settings import CompositeSettings
from rlcompress.agents.views import IndexView, KnobView
from rlcompress.errors import AgentError

SelfCompositeAgent = TypeVar("SelfCompositeAgent", bound="CompositeAgent")

_COUNTERS = ("_n_updates", "_n_calls", "exploration_rate", "_beta")
_SETTINGS = {field.name for field in fields(CompositeSettings)}


class CompositeAgent(PrioritizedAlgorithm):
    """An off-policy agent for hybrid actions: TD3 or DDPG for the knobs, a Q-learner for the discrete action.

    The environment's action space is Box(-1, 1, (1 + knobs,)): column 0 encodes the discrete action (see
    `rlcompress.agents.actions`). The agent owns the replay buffer; its parts are SB3 algorithms that sample views of
    it. Where ``info["executed_action"]`` is given, that action is stored instead of the agent's.

    Sources: TD3 (Fujimoto et al. 2018), DDPG (Lillicrap et al. 2016), P-DQN (Xiong et al. 2018) for the way
    in which index and knobs depend on each other.

    Args:
        policy: ``"MlpPolicy"``.
        env: environment, vectorised or not, or its registered name.
        discrete_actions: number of discrete actions, at least 2; None where the environment has it as an attribute.
        settings: hyper-parameters; None for the defaults.
        tensorboard_log: folder of TensorBoard's events.
        stats_window_size: episodes that the logged means are taken over.
        verbose: 0, 1 or 2, as in SB3.
        device: torch device.
        seed: seeds Python, NumPy, torch, the action space and the environment.
        changes: single settings by name, which replace those of ``settings``.

    Raises:
        AgentError: a space, a setting or the number of discrete actions does not fit.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": CompositePolicy}
    policy: CompositePolicy
    action_space: spaces.Box
    observation_space: spaces.Box
    continuous: TD3
    discrete: DQN | QRDQN

    def __init__(
        self,
        policy: str | type[CompositePolicy],
        env: GymEnv | str | None,
        discrete_actions: int | None = None,
        settings: CompositeSettings | None = None,
        *,
        tensorboard_log: str | None = None,
        stats_window_size: int = 100,
        verbose: int = 0,
        device: th.device | str = "auto",
        seed: int | None = None,
        _init_setup_model: bool = True,
        **changes: Any,
    ) -> None:
        self.settings = (settings or CompositeSettings()).with_changes(changes)
        if env is not None:
            env = maybe_make_env(env, verbose)
            check_spaces(env.observation_space, env.action_space)
        super().__init__(
            policy,
            env,  # type: ignore[arg-type]  # None when SB3 loads an agent without environment
            **self.settings.algorithm_arguments,
            replay_buffer_class=PrioritizedReplayBuffer,
            tensorboard_log=tensorboard_log,
            stats_window_size=stats_window_size,
            verbose=verbose,
            device=device,
            seed=seed,
            sde_support=False,
            support_multi_env=True,
        )
        self.discrete_actions = discrete_actions
        self.layout: Layout | None = None
        self._counters: dict[str, dict[str, int | float]] = {}
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        if self.env is not None:
            self._adopt(self.env)
        assert self.discrete_actions is not None  # the environment's, or that of the agent that is loaded
        vars(self).update(self.settings.algorithm_arguments)
        self.policy_kwargs = {
            "discrete_actions": self.discrete_actions,
            "knobs_per_index": self.settings.knobs_per_index,
            "condition_on_knobs": self.settings.condition_on_knobs,
            "condition_on_features": self.settings.condition_on_features,
        }
        self.replay_buffer_kwargs = self.settings.replay_arguments
        super()._setup_model()
        count, knobs, own = self.discrete_actions, self.action_space.shape[0] - 1, self.observation_space
        seen = actor_space(own, count, self.settings)
        self.continuous = build_continuous(self.settings, seen, knobs, self.device, self.n_envs)
        seen = discrete_space(own, count, knobs, self.settings)
        self.discrete = build_discrete(self.settings, seen, count, self.device, self.n_envs)
        self.policy.attach(self.continuous.policy, self.discrete.policy)
        for name, counters in self._counters.items():
            vars(getattr(self, name)).update(counters)

    def _adopt(self, env: GymEnv) -> None:
        """Hold an environment against what the agent was made for or trained on."""
        now = layout_of(env, self.discrete_actions)
        if self.layout is not None:
            check_layout(self.layout, now)
        if self.discrete_actions not in (None, now.discrete_actions):
            raise AgentError(
                f"discrete_actions is {self.discrete_actions}, but the environment has {now.discrete_actions}; "
                "give as many, or leave them out"
            )
        self.layout, self.discrete_actions = now, now.discrete_actions

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """Act in another environment from now on; the arguments are SB3's.

        Raises:
            AgentError: it is of another layout than the agent's.
        """
        env = self._wrap_env(env, self.verbose)
        check_spaces(env.observation_space, env.action_space)
        self._adopt(env)
        super().set_env(env, force_reset)

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, BaseCallback]:
        prepared = super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        self._connect()
        return prepared

    def _connect(self) -> None:
        # a new logger, environment or replay buffer reaches the parts here
        self.continuous.replay_buffer = cast(ReplayBuffer, KnobView(self.replay_buffer, self.policy))
        self.discrete.replay_buffer = cast(ReplayBuffer, IndexView(self.replay_buffer, self.policy))
        for name in ("continuous", "discrete"):
            part = getattr(self, name)
            part.set_logger(PrefixLogger(self.logger, name))
            part._vec_normalize_env = self._vec_normalize_env
            part._current_progress_remaining = self._current_progress_remaining

    def _keep_counters(self) -> None:
        # SB3 saves the agent's attributes but not the parts'
        for name in ("continuous", "discrete"):
            state = vars(getattr(self, name))
            self._counters[name] = {key: state[key] for key in _COUNTERS if key in state}

    def counters(self) -> dict[str, dict[str, int | float]]:
        """What each part counts, by part and name."""
        self._keep_counters()
        return {name: dict(counters) for name, counters in self._counters.items()}

    def set_counters(self, counters: Mapping[str, Mapping[str, int | float]]) -> None:
        """Set what `counters` gave; other names are left out."""
        for name in ("continuous", "discrete"):
            known = {key: value for key, value in counters.get(name, {}).items() if key in _COUNTERS}
            vars(getattr(self, name)).update(known)
        self._keep_counters()

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.num_timesteps < learning_starts and self.settings.random_warmup:
            sampled = np.stack([self.action_space.sample() for _ in range(n_envs)])
            assert self.discrete_actions is not None
            actions = join(decode(sampled[:, 0], self.discrete_actions), sampled[:, 1:], self.discrete_actions)
        else:
            assert self._last_obs is not None
            observations, _ = self.policy.obs_to_tensor(self._last_obs)
            assert isinstance(observations, th.Tensor)
            epsilon = self.discrete.exploration_rate
            actions = self.policy.explore(observations, self.settings.noise_std, epsilon).cpu().numpy()
        return actions, actions

    def _store_transition(
        self,
        replay_buffer: ReplayBuffer,
        buffer_action: np.ndarray,
        new_obs: np.ndarray | dict[str, np.ndarray],
        reward: np.ndarray,
        dones: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        executed = executed_actions(self.action_space, buffer_action, infos)
        super()._store_transition(replay_buffer, executed, new_obs, reward, dones, infos)

    def _on_step(self) -> None:
        self.discrete._current_progress_remaining = self._current_progress_remaining
        self.discrete._on_step()
        self._keep_counters()

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Update both parts ``gradient_steps`` times, each on its own minibatches of the shared replay buffer."""
        self._connect()
        for _ in range(gradient_steps):
            moves = self._n_updates >= self.settings.actor_warmup
            self.continuous.actor.requires_grad_(moves)
            self.continuous.train(1, batch_size)
            self.discrete.train(1, batch_size)
            if moves:
                self._decay()
            self._n_updates += 1
        self.continuous.actor.requires_grad_(True)
        self._keep_counters()

    @th.no_grad()
    def _decay(self) -> None:
        for parameter in last_layer(self.continuous.actor).parameters():
            parameter.mul_(1.0 - self.settings.decay)

    def imitate(self, observations: ArrayLike, actions: ArrayLike, cloning: Cloning | None = None) -> CloningResult:
        """Behaviour-clone demonstrations into actor and discrete part before (or between) learning.

        The critics know nothing yet: see the setting ``actor_warmup`` for keeping the actor while they learn.

        Args:
            observations: [N, observation], as the environment gives them (normalised here if it is a VecNormalize).
            actions: [N, 1 + knobs] flattened.
            cloning: how; None for the defaults.

        Returns:
            How well the policy then repeats the demonstrations.

        Raises:
            AgentError: the demonstrations do not fit the spaces.
        """
        sizes = self.observation_space.shape[0], self.action_space.shape[0]
        seen, done = check_demonstrations(observations, actions, *sizes)
        if self._vec_normalize_env is not None:
            seen = np.asarray(self._vec_normalize_env.normalize_obs(seen), dtype=np.float32)
        device = self.device
        return clone(
            self.policy, th.as_tensor(seen, device=device), th.as_tensor(done, device=device), cloning or Cloning()
        )

    def remember(self, transitions: Transitions) -> None:
        """Store demonstrated transitions in the replay buffer, as if the agent had met them.

        Raises:
            AgentError: the transitions do not fit the spaces.
        """
        store(self.replay_buffer, transitions)

    def learn(
        self: SelfCompositeAgent,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str = "CompositeAgent",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
        *,
        training_timesteps: int = 0,
    ) -> SelfCompositeAgent:
        """Learn for ``total_timesteps`` environment steps.

        The arguments are SB3's, but for ``training_timesteps``: environment steps of the whole training if this is a
        part of it (with ``reset_num_timesteps=False``). Schedules run over the longer of the two.
        """
        self._training_timesteps = training_timesteps
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    @classmethod
    def _changed(cls, saved: Mapping[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        given = {**(changes.get("custom_objects") or {}), **changes}
        before, others = saved["settings"], {name: changes[name] for name in changes.keys() - _SETTINGS}
        settings = (others.get("settings") or before).with_changes(
            {name: given[name] for name in _SETTINGS & given.keys()}
        )
        check_network(before.network, settings.network)
        return {**others, "settings": settings}

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "continuous", "discrete"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        optimizers = ["continuous.actor.optimizer", "continuous.critic.optimizer", "discrete.policy.optimizer"]
        return ["policy", *optimizers], []
