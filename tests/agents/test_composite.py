import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize

from rlcompress.agents import CompositeAgent, CompositePolicy, CompositeSettings, decode
from rlcompress.errors import AgentError
from tests.agents.hybrid_env import CountingEnv, HybridEnv, TellingEnv

DISCRETE = ["rainbow", "qrdqn", "dqn"]


def agent_of(env=None, **changes):
    settings = CompositeSettings(net_arch=(16,), batch_size=16, learning_starts=10)
    return CompositeAgent("MlpPolicy", env or HybridEnv(), 3, settings, seed=0, device="cpu", **changes)


def probe(count=7):
    return np.random.default_rng(0).uniform(-1, 1, (count, 4)).astype(np.float32)


def actions_of(agent):
    return agent.predict(probe(), deterministic=True)[0]


@pytest.mark.parametrize("discrete", DISCRETE)
@pytest.mark.parametrize("continuous", ["td3", "ddpg"])
def test_save_and_load_give_equal_predictions_and_state(tmp_path, continuous, discrete):
    agent = agent_of(continuous=continuous, discrete=discrete).learn(40)
    agent.save(tmp_path / "agent")
    loaded = CompositeAgent.load(tmp_path / "agent", env=HybridEnv())
    np.testing.assert_array_equal(actions_of(agent), actions_of(loaded))
    assert loaded.settings == agent.settings
    assert loaded.discrete.exploration_rate == agent.discrete.exploration_rate
    assert loaded.continuous._n_updates == agent.continuous._n_updates > 0
    for (name, state), other in zip(agent.get_parameters().items(), loaded.get_parameters().values(), strict=True):
        assert th.equal(*(th.cat([t.flatten().float() for t in flat(s)]) for s in (state, other))), name
    loaded.learn(20, reset_num_timesteps=False)
    assert loaded.num_timesteps == 60


def flat(state):
    if isinstance(state, th.Tensor):
        return [state]
    values = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else []
    return [tensor for value in values for tensor in flat(value)]


def test_noisy_layers_explore_in_place_of_epsilon(tmp_path):
    agent = agent_of(rainbow={"noisy": True}).learn(30)
    assert agent.discrete.exploration_rate == 0
    observations = th.tensor(np.repeat(probe(), 200, 0))
    explored = {tuple(agent.policy.explore(observations, 0.0, 0.0)[:, 0].tolist()) for _ in range(20)}
    assert len(explored) > 1
    agent.save(tmp_path / "agent")
    np.testing.assert_array_equal(actions_of(agent), actions_of(CompositeAgent.load(tmp_path / "agent")))


def test_load_without_environment_predicts(tmp_path):
    agent = agent_of()
    agent.save(tmp_path / "agent")
    np.testing.assert_array_equal(actions_of(agent), actions_of(CompositeAgent.load(tmp_path / "agent")))


@pytest.mark.parametrize("n_envs", [1, 2])
def test_a_seed_gives_the_same_run(n_envs):
    first, second = (agent_of(make_vec_env(HybridEnv, n_envs, seed=0)).learn(60) for _ in range(2))
    np.testing.assert_array_equal(first.replay_buffer.actions, second.replay_buffer.actions)
    np.testing.assert_array_equal(actions_of(first), actions_of(second))


def test_predict_keeps_the_batch_and_emits_bin_centres():
    agent = agent_of()
    actions = actions_of(agent)
    assert actions.shape == (7, 3)
    assert agent.predict(probe()[0])[0].shape == (3,)
    np.testing.assert_allclose((actions[:, 0] + 1) * 3 / 2 % 1, 0.5, atol=1e-6)
    assert agent.action_space.contains(actions[0])


def test_the_replay_holds_the_executed_action():
    agent = agent_of(HybridEnv(snap=True)).learn(30)
    knobs = agent.replay_buffer.actions[:30, 0, 1:]
    np.testing.assert_array_equal(knobs, np.round(knobs * 4) / 4)
    assert np.abs(knobs).max() > 0


def test_several_environments_in_processes_with_normalisation():
    env = VecNormalize(make_vec_env(HybridEnv, 2, seed=0, vec_env_cls=SubprocVecEnv))
    agent = agent_of(env).learn(40)
    assert agent.continuous._vec_normalize_env is env
    assert agent._n_updates > 0
    env.close()


def test_training_at_the_end_of_episodes():
    agent = agent_of(train_freq=(1, "episode"), gradient_steps=-1, learning_starts=0, random_warmup=False).learn(20)
    assert agent._n_updates == 20


def test_callbacks_tensorboard_and_logged_names(tmp_path):
    agent = agent_of(tensorboard_log=str(tmp_path / "tb"))
    callbacks = [
        EvalCallback(
            Monitor(HybridEnv()), n_eval_episodes=1, eval_freq=20, best_model_save_path=str(tmp_path), verbose=0
        ),
        CheckpointCallback(25, str(tmp_path), save_replay_buffer=True),
    ]
    agent.learn(50, callback=callbacks, log_interval=1)
    assert (tmp_path / "best_model.zip").exists()
    assert (tmp_path / "rl_model_50_steps.zip").exists()
    assert list((tmp_path / "tb" / "CompositeAgent_1").glob("events*"))
    agent.train(1, 8)
    names = set(agent.logger.name_to_value)
    assert {"continuous/train/critic_loss", "discrete/train/loss"} <= names


@pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
def test_progress_bar():
    assert agent_of().learn(20, progress_bar=True).num_timesteps == 20


def test_replay_buffer_is_saved_loaded_and_used(tmp_path):
    agent = agent_of().learn(30)
    agent.save_replay_buffer(tmp_path / "replay")
    other = agent_of()
    other.load_replay_buffer(tmp_path / "replay.pkl")
    np.testing.assert_array_equal(other.replay_buffer.actions, agent.replay_buffer.actions)
    other.learn(15)
    assert other.continuous.replay_buffer.buffer is other.replay_buffer


def test_set_env_keeps_learning():
    agent = agent_of().learn(20)
    agent.set_env(HybridEnv())
    assert agent.learn(20, reset_num_timesteps=False).num_timesteps == 40


def test_the_first_knobs_are_near_zero_and_exactly_zero_on_request():
    assert np.abs(actions_of(agent_of())[:, 1:]).max() < 0.02
    assert not actions_of(agent_of(actor_last_layer=0.0))[:, 1:].any()


def test_decay_pulls_the_last_layer_to_zero():
    plain, decayed = (agent_of(decay=decay, actor_last_layer=0.5).learn(60) for decay in (0.0, 0.2))
    assert np.abs(actions_of(decayed)[:, 1:]).mean() < 0.3 * np.abs(actions_of(plain)[:, 1:]).mean()


@pytest.mark.parametrize("per_index", [True, False])
@pytest.mark.parametrize("knobs", [True, False])
@pytest.mark.parametrize("features", [True, False])
def test_what_the_parts_see(per_index, knobs, features):
    agent = agent_of(knobs_per_index=per_index, condition_on_knobs=knobs, condition_on_features=features).learn(20)
    indices = 3 if per_index else 1
    index_samples = agent.discrete.replay_buffer.sample(5)
    assert index_samples.observations.shape == (5, 4 + 16 * features + 2 * knobs * indices)
    assert index_samples.observations.shape == index_samples.next_observations.shape
    knob_samples = agent.continuous.replay_buffer.sample(5)
    assert knob_samples.observations.shape == knob_samples.next_observations.shape == (5, 4 + 3 * per_index)
    assert knob_samples.actions.shape == (5, 2)


def test_the_discrete_part_sees_the_executed_knobs_and_proposals_for_the_other_indices():
    agent = agent_of(HybridEnv(snap=True), condition_on_features=False).learn(20)
    samples = agent.discrete.replay_buffer.sample(30)
    proposed, _ = agent.policy.propose(samples.observations[:, :4], agent.continuous.actor)
    knobs = samples.observations[:, 4:].reshape(30, 3, 2)
    executed = th.nn.functional.one_hot(samples.actions[:, 0], 3).bool()
    assert th.equal(knobs[executed], (knobs[executed] * 4).round() / 4)
    assert th.allclose(knobs[~executed], proposed[~executed])


def test_prediction_joins_the_best_index_with_its_own_knobs():
    agent = agent_of(actor_last_layer=1.0)
    observations = th.tensor(probe())
    proposed, features = agent.policy.propose(observations, agent.continuous.actor)
    best = agent.policy.q_values(agent.policy.discrete_input(observations, proposed, features)).argmax(1)
    actions = actions_of(agent)
    np.testing.assert_array_equal(decode(actions[:, 0], 3), best)
    np.testing.assert_allclose(actions[:, 1:], proposed[th.arange(7), best], atol=1e-6)
    assert not th.allclose(proposed[:, 0], proposed[:, 1])


def test_index_view_decodes_what_the_buffer_holds():
    agent = agent_of().learn(20)
    stored = decode(agent.replay_buffer.actions[:20, 0, 0], 3)
    sampled = agent.discrete.replay_buffer.sample(200).actions
    assert set(sampled.flatten().tolist()) == set(stored.tolist())


def test_the_number_of_discrete_actions_is_the_environments_or_required():
    assert CompositeAgent("MlpPolicy", TellingEnv(), buffer_size=10).discrete_actions == 3
    assert CompositeAgent("MlpPolicy", make_vec_env(TellingEnv, 2), buffer_size=10).discrete_actions == 3
    with pytest.raises(AgentError, match="discrete_actions must be at least 2, got None; give them, or an environment"):
        CompositeAgent("MlpPolicy", HybridEnv())
    with pytest.raises(AgentError, match="discrete_actions is 5, but the environment has 3; give as many, or leave"):
        CompositeAgent("MlpPolicy", TellingEnv(), 5)


def test_an_environment_of_another_layout_is_refused(tmp_path):
    agent, other = agent_of(TellingEnv()), TellingEnv(("left", "right"))
    agent.save(tmp_path / "agent")
    words = "the agent chooses among left, middle, right, but here among left, right; search the same"
    with pytest.raises(AgentError, match=words):
        CompositeAgent.load(tmp_path / "agent", env=other)
    env = agent.env
    with pytest.raises(AgentError, match=words):
        agent.set_env(other)
    assert agent.env is env
    assert CompositeAgent.load(tmp_path / "agent", env=HybridEnv()).discrete_actions == 3


def test_changes_in_loading_reach_settings_and_parts(tmp_path):
    agent_of().save(tmp_path / "agent")
    loaded = CompositeAgent.load(tmp_path / "agent", env=HybridEnv(), gamma=0.9, learning_rate=1e-5, batch_size=9)
    for part in (loaded, loaded.settings, loaded.continuous, loaded.discrete, loaded.replay_buffer):
        assert part.gamma == 0.9
    for part in (loaded, loaded.settings, loaded.continuous):
        assert part.learning_rate == 1e-5
    assert loaded.batch_size == 9
    loaded.learn(12)
    assert loaded.continuous.actor.optimizer.param_groups[0]["lr"] == 1e-5


def test_settings_as_a_whole_and_custom_objects_reach_the_parts(tmp_path):
    agent_of().save(tmp_path / "agent")
    settings = CompositeSettings(net_arch=(16,), tau=0.5)
    loaded = CompositeAgent.load(tmp_path / "agent", settings=settings, custom_objects={"gamma": 0.9})
    assert loaded.tau == loaded.continuous.tau == 0.5
    assert loaded.gamma == loaded.continuous.gamma == 0.9


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"net_arch": [8]}, r"net_arch is part of the trained network and stays \(16,\), got \(8,\); train a new"),
        ({"rainbow": {"v_max": 9.0}}, "rainbow.v_max is part of the trained network"),
        ({"gamma": 2.0}, "gamma must lie between 0 and 1"),
        ({"gama": 0.5}, "cannot change 'gama' in loading; give names of settings"),
    ],
)
def test_changes_that_cannot_be_are_refused_in_loading(tmp_path, changes, words):
    agent_of().save(tmp_path / "agent")
    with pytest.raises(AgentError, match=words):
        CompositeAgent.load(tmp_path / "agent", **changes)


def test_no_return_is_summed_across_an_environment_begun_anew():
    def env():
        return CountingEnv(spaces.Box(-1, 1, (2,), np.float32))

    agent = agent_of(env(), learning_starts=1000).learn(20).learn(20)
    agent.set_env(env())
    samples = agent.learn(20, reset_num_timesteps=False).replay_buffer.sample(200)
    assert th.equal(samples.observations // 1000, samples.next_observations // 1000)


def test_beta_never_falls_and_is_kept(tmp_path):
    agent = agent_of().learn(20)
    highest = agent.discrete._beta
    assert 0.9 < highest <= 1
    agent.save(tmp_path / "agent")
    loaded = CompositeAgent.load(tmp_path / "agent", env=HybridEnv()).learn(5, reset_num_timesteps=False)
    assert loaded.discrete._beta >= highest
    assert agent_of().learn(20, training_timesteps=40).discrete._beta == pytest.approx(0.7)


def test_the_share_of_clipped_targets_is_logged_under_the_parts_name():
    agent = agent_of().learn(20)
    agent.train(1, 8)
    assert 0 <= dict(agent.logger.name_to_value)["discrete/train/clipped_targets"] < 0.5


@pytest.mark.parametrize("discrete", DISCRETE)
@pytest.mark.parametrize("continuous", ["td3", "ddpg"])
def test_the_policy_alone_can_be_saved_and_loaded(tmp_path, continuous, discrete):
    agent = agent_of(continuous=continuous, discrete=discrete, actor_last_layer=1.0)
    agent.policy.save(tmp_path / "policy")
    loaded = CompositePolicy.load(tmp_path / "policy")
    np.testing.assert_array_equal(actions_of(agent), loaded.predict(probe(), deterministic=True)[0])


def test_a_replay_buffer_of_another_shape_is_refused(tmp_path):
    agent_of(HybridEnv(indices=5)).save_replay_buffer(tmp_path / "replay")
    with pytest.raises(AgentError, match="has obs_shape"):
        agent_of().load_replay_buffer(tmp_path / "replay.pkl")
