import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch as th
from safetensors.torch import load_file, save_file
from stable_baselines3.common.env_util import make_vec_env

from rlcompress.agents import CompositeAgent, CompositeSettings, load_agent, save_agent
from rlcompress.errors import AgentError
from tests.agents.hybrid_env import HybridEnv


class NamedEnv(HybridEnv):
    """Tells what its observations and choices mean."""

    observation_fields = (("context", 3), ("time", 1))
    discrete_names = ("left", "middle", "right")


class OtherFields(NamedEnv):
    observation_fields = (("context", 2), ("time", 2))


class RelativeEnv(NamedEnv):
    discrete_names = ("as planned", "left", "middle", "right")


class OtherChoices(NamedEnv):
    discrete_names = ("left", "right", "middle")


def agent_of(env=None, **changes):
    settings = CompositeSettings(net_arch=(16,), batch_size=16, learning_starts=10)
    return CompositeAgent("MlpPolicy", env or NamedEnv(), 3, settings, seed=0, device="cpu", **changes)


def actions_of(agent):
    probe = np.random.default_rng(0).uniform(-1, 1, (50, agent.observation_space.shape[0])).astype(np.float32)
    return agent.predict(probe, deterministic=True)[0]


@pytest.fixture(scope="module")
def trained():
    return agent_of().learn(40)


@pytest.fixture
def saved(trained, tmp_path):
    save_agent(trained, tmp_path / "agent.safetensors")
    return tmp_path / "agent.safetensors"


def test_an_agent_without_environment_is_not_saved(tmp_path):
    agent_of().save(tmp_path / "agent.zip")
    with pytest.raises(AgentError, match="give it one by set_env"):
        save_agent(CompositeAgent.load(tmp_path / "agent.zip"), tmp_path / "agent.safetensors")


@pytest.mark.parametrize("discrete", ["rainbow", "qrdqn", "dqn"])
@pytest.mark.parametrize("continuous", ["td3", "ddpg"])
def test_a_loaded_agent_acts_and_counts_as_the_saved_one(tmp_path, continuous, discrete):
    agent = agent_of(continuous=continuous, discrete=discrete).learn(40)
    save_agent(agent, tmp_path / "agent")
    loaded = load_agent(tmp_path / "agent", NamedEnv())
    np.testing.assert_array_equal(actions_of(agent), actions_of(loaded))
    assert loaded.settings == agent.settings
    assert (loaded.num_timesteps, loaded._n_updates) == (40, agent._n_updates)
    assert json.dumps(loaded.counters()) == json.dumps(agent.counters())
    assert loaded.learn(20, reset_num_timesteps=False).num_timesteps == 60


@pytest.mark.parametrize(("n_envs", "buffer_size"), [(1, 1000), (2, 1000), (1, 32)])
def test_learning_goes_on_where_it_was_left(tmp_path, n_envs, buffer_size):
    def env():
        return make_vec_env(NamedEnv, n_envs, seed=0)

    first = agent_of(env(), buffer_size=buffer_size).learn(60)
    save_agent(first, tmp_path / "agent", replay=True)
    second = load_agent(tmp_path / "agent", env())
    for agent in (first, second):
        agent._setup_learn(40, reset_num_timesteps=False)
        np.random.seed(3)
        th.manual_seed(3)
        agent.train(20, 16)
    np.testing.assert_allclose(actions_of(first), actions_of(second), atol=1e-5)


def test_an_agent_without_training_is_kept_too(tmp_path):
    save_agent(agent_of(), tmp_path / "agent", replay=False)
    np.testing.assert_array_equal(actions_of(load_agent(tmp_path / "agent", NamedEnv())), actions_of(agent_of()))


def test_settings_may_be_changed_at_loading(saved):
    assert load_agent(saved, NamedEnv(), learning_starts=3).settings.learning_starts == 3
    assert load_agent(saved, NamedEnv(), rainbow={"beta": 0.6}).discrete.components.beta == 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"net_arch": (8,)},
            r"net_arch is part of the trained network and stays \(16,\), got \(8,\); train a new agent",
        ),
        ({"rainbow": {"v_max": 9.0}}, r"rainbow.v_max is part of the trained network and stays 3.0, got 9.0"),
        ({"discrete": "dqn"}, "discrete is part of the trained network"),
    ],
)
def test_what_the_networks_are_made_of_stays(saved, change, message):
    with pytest.raises(AgentError, match=message):
        load_agent(saved, NamedEnv(), **change)


def test_environments_that_tell_nothing_are_held_against_sizes(saved, tmp_path):
    save_agent(agent_of(HybridEnv()), tmp_path / "silent")
    load_agent(tmp_path / "silent", NamedEnv())
    load_agent(saved, HybridEnv())
    with pytest.raises(AgentError, match="was trained with 4 observations, but here are 5"):
        load_agent(saved, HybridEnv(indices=4))


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (OtherFields, r"observations with 'context' of 3 values where this environment has 'context' of 2; train one"),
        (RelativeEnv, r"follows no plan, but here agents correct plans; give one that .*{'residual': False}"),
        (OtherChoices, "chooses among left, middle, right, but here among left, right, middle; search the same"),
    ],
)
def test_another_layout_is_refused(saved, env, message):
    with pytest.raises(AgentError, match=message):
        load_agent(saved, env())


class Exploit:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("write", ["pickle", "torch", "sb3"])
def test_code_in_a_file_is_not_run(tmp_path, write):
    path, evil = tmp_path / "agent.zip", Exploit(tmp_path / "canary")
    if write == "pickle":
        path.write_bytes(pickle.dumps(evil))
    elif write == "torch":
        th.save(evil, path)
    else:
        agent = agent_of()
        agent.evil = evil
        agent.save(path)
    with pytest.raises(AgentError, match="that a search wrote"):
        load_agent(path, NamedEnv())
    assert not (tmp_path / "canary").exists()


def edited(path, change):
    """The file with its JSON changed by a function of it."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        head = json.loads(file.metadata()["agent"])
    change(head)
    save_file(load_file(path), path, {"agent": json.dumps(head)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(format="other"), "not of this version's format"),
        (lambda h: h.update(version=2), "not of this version's format"),
        (lambda h: h.update(surplus=2), "surplus: Extra inputs"),
        (lambda h: h["layout"].update(actions="3"), "layout.actions: Input should be a valid integer"),
        (lambda h: h["settings"].update(gama=1), "unknown agent setting 'gama'"),
        (lambda h: h["settings"].update(gamma="high"), "gamma must be a number, got a str; give one"),
        (lambda h: h["settings"].update(gamma=7), "gamma must lie between 0 and 1"),
        (lambda h: h["settings"]["rainbow"].update(shiny=True), "unknown agent setting 'shiny'"),
        (lambda h: h["settings"].update(net_arch=[100_000, 100_000]), "net_arch does not fit its tensors"),
        (lambda h: h["settings"].update(buffer_size=10**12), "buffer_size must lie between"),
        (lambda h: h["settings"].update(discrete="dqn"), "its tensors do not fit"),
        (lambda h: h["counters"].update(updates=-1), "counters.updates"),
    ],
)
def test_wrong_heads_are_named_in_one_line(saved, change, message):
    edited(saved, change)
    with pytest.raises(AgentError, match=message) as caught:
        load_agent(saved, NamedEnv())
    assert "\n" not in str(caught.value)


def test_wrong_tensors_are_named_in_one_line(saved):
    tensors = load_file(saved)
    moment = next(name for name in tensors if name.endswith("exp_avg"))
    for change in (
        {moment: th.ones(3)},
        {moment.replace("exp_avg", "momentum"): th.ones(3)},
        {moment: th.full_like(tensors[moment], float("nan"))},
        {"policy.surplus": th.ones(1)},
    ):
        edited(saved, lambda head: None)
        from safetensors import safe_open

        with safe_open(saved, "pt") as file:
            strings = file.metadata()
        wrong = saved.with_name("wrong")
        save_file({**tensors, **change}, wrong, strings)
        with pytest.raises(AgentError) as caught:
            load_agent(wrong, NamedEnv())
        assert "\n" not in str(caught.value)


def test_weights_are_no_agent(tmp_path):
    save_file({"conv1.weight": th.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(AgentError, match="holds tensors, but no agent"):
        load_agent(tmp_path / "w.safetensors", NamedEnv())
    with pytest.raises(AgentError, match="No such file"):
        load_agent(tmp_path / "none", NamedEnv())
