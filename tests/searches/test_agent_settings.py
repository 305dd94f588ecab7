import pytest

from rlcompress.errors import AgentError
from rlcompress.searches.agent_settings import CompositeSearchSettings, _entries


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
        ({"agent": {"decai": 0.1}}, "unknown agent setting 'decai'"),
    ],
)
def test_wrong_settings(changes: dict[str, object], message: str) -> None:
    with pytest.raises(AgentError, match=message):
        CompositeSearchSettings().with_changes(changes)
