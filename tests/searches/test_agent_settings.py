from pathlib import Path

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm

from rlcompress.agents import CompositeSettings
from rlcompress.errors import AgentError, RlcompressError, RunError
from rlcompress.searches import search
from rlcompress.searches.agent_settings import CompositeSearchSettings, _entries
from rlcompress.searches.methods import check_agent_settings
from rlcompress.searches.settings import SearchSettings
from tests.conftest import Digits


def test_every_entry_of_the_file_is_valid() -> None:
    for name in _entries():
        CompositeSearchSettings.of(name)


def test_changes_replace_single_values() -> None:
    settings = CompositeSearchSettings.of("any")
    changed = settings.with_changes({"batch": 3, "agent": {"decay": 0.5, "rainbow": {"double": False}}})
    assert (changed.batch, changed.agent.decay, changed.agent.rainbow.double) == (3, 0.5, False)
    assert changed.agent.noise_std == settings.agent.noise_std


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batches": 3}, "unknown setting 'batches' of the composite search"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"batch": 2.5}, "batch"),
        ({"episodes": "many"}, "episodes"),
        ({"agent": 3}, "agent"),
        ({"agent": {"decai": 0.1}}, "unknown agent setting 'decai'"),
        ({"agent": {"train_freq": (1, "episode")}}, "train_freq by the episode is for one episode at a time"),
    ],
)
def test_wrong_settings(changes: dict[str, object], message: str) -> None:
    with pytest.raises(AgentError, match=message):
        CompositeSearchSettings().with_changes(changes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"agent": "td3", "agent_settings": {"lr": 1e-3}}, "unknown setting 'lr'; choose from batch_size, buffer_size"),
        ({"agent": "ppo", "agent_settings": {"seed": 1}}, "unknown setting 'seed'"),
        ({"agent": "sac", "agent_settings": {"policy_kwargs": {"a": object}}}, "agent_settings are recorded as JSON"),
        ({"agent_settings": {"agent": CompositeSettings(gamma=0.5)}}, "agent_settings are recorded as JSON"),
        ({"agent": "composite-cold", "granularities": ("none",)}, "needs a pruning to choose beside none; add one"),
        ({"agent_settings": {"residual": False}, "granularities": ("none",)}, "needs a pruning to choose beside none"),
        ({"agent": "dp", "agent_settings": {"batch": 2}}, "agent 'dp' has no agent_settings; leave them out"),
        ({"agent": "composite-cold", "agent_settings": {"batches": 2}}, "unknown setting 'batches' of the composite"),
        ({"agent_from": "a.safetensors", "agent_settings": {"agent": {"gamma": 0.9}}}, "agent_from keeps the settings"),
    ],
)
def test_settings_that_the_method_does_not_take(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RlcompressError, match=message):
        check_agent_settings(SearchSettings.of(settings))


def test_settings_are_checked_before_a_folder_is_begun(digits: Digits, tmp_path: Path) -> None:
    changes = {"policy_kwargs": {"activation_fn": object}}
    with pytest.raises(RunError, match="agent_settings are recorded as JSON"):
        search(digits.model, digits.splits, mean=digits.card.mean, std=digits.card.std, agent="td3",
               agent_settings=changes, out=tmp_path / "run")  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_the_agent_that_it_was_begun_with(tmp_path: Path) -> None:
    file = tmp_path / "agent.safetensors"
    file.write_bytes(b"one")
    before = SearchSettings.of({"agent_from": str(file)}).as_json()
    file.write_bytes(b"another")
    assert SearchSettings.of({"agent_from": str(file)}).as_json() != before
    assert "agent_from_sha256" not in SearchSettings().as_json()


def test_a_search_that_starts_from_an_agent_may_be_run_otherwise() -> None:
    check_agent_settings(SearchSettings.of({"agent_from": "a.safetensors", "agent_settings": {"batch": 2}}))


def test_stock_agents_get_their_settings(digits: Digits) -> None:
    seen: list[BaseAlgorithm] = []

    def first_step(local: dict[str, BaseAlgorithm], _: object) -> bool:
        seen.append(local["self"])
        return False

    asked = {"mean": digits.card.mean, "std": digits.card.std, "evaluations": 2, "score_images": 20, "agent": "td3"}
    changes = {"learning_rate": 0.25, "buffer_size": 77, "policy_kwargs": {"net_arch": [8]}}
    with pytest.raises(RunError, match="the callback ended the search"):
        search(digits.model, digits.splits, **asked, agent_settings=changes, callback=first_step)  # type: ignore[arg-type]
    agent = seen[0]
    assert (agent.learning_rate, agent.buffer_size) == (0.25, 77)  # type: ignore[attr-defined]
    assert agent.policy.net_arch == [8]
    with pytest.raises(RunError, match="agent_settings do not fit TD3"):
        search(digits.model, digits.splits, **asked, agent_settings={"train_freq": [1, 2, 3]})  # type: ignore[arg-type]
