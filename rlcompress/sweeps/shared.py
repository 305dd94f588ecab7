"""What a search of a sweep need not measure again, since another one has."""

from pathlib import Path
from typing import Any

from rlcompress.errors import RunError
from rlcompress.searches.folder import SENSITIVITY, read_json

_OF_THE_SEARCH = frozenset(
    ("max_drop", "goals", "evaluations", "minutes", "agent", "agent_from", "agent_settings", "seed", "target")
)
"""Settings that the sensitivity table does not depend on."""


def measured_before(run: Path, asked: dict[str, Any], fingerprint: str) -> Path | None:
    """A run folder of the same sweep whose sensitivity table is what this search would measure; None without one.

    Args:
        run: folder of this search, two levels below the sweep's.
        asked: settings of this search, as run.json has them.
        fingerprint: of the images.
    """
    wanted = _problem(asked)
    for table in sorted(run.parents[1].glob(f"*/{run.name}/{SENSITIVITY}")):
        other = table.parent
        try:
            begun = read_json(other / "run.json") or {}
        except RunError:
            continue
        same = isinstance(begun.get("settings"), dict) and _problem(begun["settings"]) == wanted
        images = begun.get("data")
        if other != run and same and isinstance(images, dict) and images.get("sha256") == fingerprint:
            return other
    return None


def _problem(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _OF_THE_SEARCH}
