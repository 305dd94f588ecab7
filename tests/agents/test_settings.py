import pytest

from rlcompress.agents import CompositeAgent, CompositeSettings, RainbowComponents
from rlcompress.errors import AgentError
from tests.agents.hybrid_env import HybridEnv


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"discrete": "sarsa"}, "discrete: Input should be 'rainbow', 'qrdqn' or 'dqn', got 'sarsa'"),
        ({"gamma": 1.5}, "gamma must lie between 0 and 1"),
        ({"learning_rate": lambda _: 1e-3}, "learning_rate must be a number, got a function; to change it in training"),
        ({"gama": 0.5}, "unknown agent setting 'gama'"),
        ({"net_arch": ()}, "net_arch"),
        ({"train_freq": (1, "epoch")}, "train_freq's unit"),
        ({"train_freq": 0}, "train_freq must be at least 1, got 0"),
        ({"train_freq": [0, "step"]}, "train_freq must be at least 1, got 0"),
        ({"gradient_steps": -2}, "gradient_steps must lie between -1 and inf"),
        ({"target_tau": 1.5}, "target_tau must lie between 0 and 1"),
        ({"net_arch": 64}, "net_arch"),
        ({"train_freq": [1]}, "train_freq"),
        ({"batch_size": 6.5}, "batch_size"),
        ({"batch_size": "6"}, "batch_size must be a number, got a str"),
        ({"rainbow": 3}, "rainbow"),
        ({"rainbow": {"multi_step": "three"}}, "multi_step"),
        ({"rainbow": {"n_atoms": 10**12}}, "n_atoms must lie between 2 and 1000"),
        ({"rainbow": {"v_max": 1e308}}, "both within 1e.06 of 0"),
        ({"rainbow": {"duel": True}}, "unknown agent setting 'duel'"),
        ({"rainbow": {"v_min": 5.0}}, "v_min must lie below v_max"),
    ],
)
def test_wrong_settings_are_refused(changes, words):
    with pytest.raises(AgentError, match=words):
        CompositeSettings().with_changes(changes)


def test_changes_as_from_yaml():
    changed = CompositeSettings().with_changes(
        {"net_arch": [32], "train_freq": [1, "episode"], "rainbow": {"noisy": True}}
    )
    assert changed == CompositeSettings(
        net_arch=(32,), train_freq=(1, "episode"), rainbow=RainbowComponents(v_min=-3.0, v_max=3.0)
    )


def test_the_agent_takes_settings_and_single_changes():
    agent = CompositeAgent("MlpPolicy", HybridEnv(), 3, CompositeSettings(gamma=0.5), batch_size=7, discrete="dqn")
    assert (agent.gamma, agent.batch_size) == (0.5, 7)
    assert agent.continuous.gamma == agent.discrete.gamma == agent.replay_buffer.gamma == 0.5


@pytest.mark.parametrize("discrete", ["rainbow", "dqn"])
def test_only_rainbow_draws_by_priority(discrete):
    alpha = CompositeSettings(discrete=discrete).replay_arguments["alpha"]
    assert (alpha > 0) == (discrete == "rainbow")
