"""What changed from one policy to another."""

from dataclasses import dataclass

from rlcompress.spec.choice import LayerChoice
from rlcompress.spec.policy import CompressionPolicy


@dataclass(frozen=True, slots=True)
class LayerChange:
    """A layer that two policies treat differently.

    Attributes:
        name: of the layer.
        before: the first policy's choice; None where it has no such layer.
        after: the second policy's choice; None where it has no such layer.
    """

    name: str
    before: LayerChoice | None
    after: LayerChoice | None


def policy_changes(first: CompressionPolicy, second: CompressionPolicy) -> tuple[LayerChange, ...]:
    """The layers whose choices differ, in the first policy's order, then those that only the second has."""
    before, after = first.choices, second.choices
    names = [*before, *(name for name in after if name not in before)]
    changes = (LayerChange(name, before.get(name), after.get(name)) for name in names)
    return tuple(change for change in changes if change.before != change.after)
