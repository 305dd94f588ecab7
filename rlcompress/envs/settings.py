"""`ProblemSettings`: how a problem is set up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from rlcompress.candidates import check_tier
from rlcompress.errors import RunError, first_problem
from rlcompress.hw_models import HardwareModel, bops_of
from rlcompress.integer import engine_named
from rlcompress.memory import parse_bytes
from rlcompress.spec import GRANULARITIES, ChoiceBatch, NetworkStructure

TARGETS: dict[str, Callable[[HardwareModel, NetworkStructure, ChoiceBatch], NDArray[np.float64]]] = {
    "energy": lambda hardware, network, batch: hardware.costs(network, batch).energy_pj,
    "latency": lambda hardware, network, batch: hardware.costs(network, batch).latency_s,
    "edp": lambda hardware, network, batch: hardware.costs(network, batch).edp_js,
    "bops": lambda hardware, network, batch: bops_of(network, batch),
}
"""What a search makes small: name -> figure [B] of B policies on an accelerator."""


@dataclass(frozen=True, slots=True)
class LogCost:
    """Natural logarithm of a target.

    Attributes:
        hardware: the accelerator.
        network: whose policies are costed.
        target: name in `TARGETS`.
    """

    hardware: HardwareModel
    network: NetworkStructure
    target: str

    def __call__(self, batch: ChoiceBatch) -> NDArray[np.float64]:
        """Of B policies: [B]."""
        return np.asarray(np.log(TARGETS[self.target](self.hardware, self.network, batch)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSettings:
    """How a problem is set up.

    Attributes:
        target: name in `TARGETS`.
        granularities: that may be chosen.
        min_bits: least bits.
        max_bits: most bits.
        end_bits: least bits of the first and the last layer.
        clustering: whether weights of few bits are clustered, as far as the accelerator stores indices.
        round_to: channels that stay are a multiple of it; None for what the accelerator's description asks for.
        score_images: search images that every candidate is scored on.
        repair: tier of the repair, see `rlcompress.candidates.check_tier`.
        correction: of the moments of candidates that are scored, see `rlcompress.candidates.CORRECTIONS`.
        cache: folder in which Hessians, compressed layers and sensitivity tables are kept for other runs; results do
            not depend on it.
        engine: what executes compressed networks, see `rlcompress.integer.ENGINES`; results do not depend on it.
        memory: what all processes may take together, such as ``4G``; None for fixed bounds of what is kept.
    """

    target: str = "energy"
    granularities: tuple[str, ...] = ("none", "element", "filter")
    min_bits: int = 2
    max_bits: int = 8
    end_bits: int = 4
    clustering: bool = False
    round_to: int | None = None
    score_images: int = 1000
    repair: str = "t1"
    correction: str = "paired"
    cache: str | None = None
    engine: str = "auto"
    memory: str | None = None

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise RunError(f"unknown target {self.target!r}; choose from {', '.join(TARGETS)}")
        if not self.granularities:
            raise RunError(f"no granularity is given; choose from {', '.join(GRANULARITIES)}, 'none' to prune nothing")
        unknown = [name for name in self.granularities if name not in GRANULARITIES]
        if unknown:
            raise RunError(f"unknown granularity {unknown[0]!r}; choose from {', '.join(GRANULARITIES)}")
        check_tier(self.repair)
        if self.round_to is not None and self.round_to < 1:
            raise RunError(f"round_to must be at least 1, got {self.round_to}")
        if self.score_images < 1:
            raise RunError(f"score_images must be at least 1, got {self.score_images}")
        engine_named(self.engine)
        if self.memory is not None:
            parse_bytes(self.memory)

    @classmethod
    def of(cls, changes: Mapping[str, Any]) -> Self:
        """Settings from single ones by name; lists stand for tuples.

        Raises:
            RunError: a name is no setting, or a value is of another type or out of its range.
        """
        return settings_of(cls, changes, {entry.name for entry in fields(cls)})


_Settings = TypeVar("_Settings")


def settings_of(kind: type[_Settings], values: Mapping[str, Any], known: set[str]) -> _Settings:
    """A dataclass of settings from values of their types, or from such that stand for them.

    Args:
        kind: the dataclass.
        values: by name.
        known: names that may be given.

    Raises:
        RunError: a name is not known, or a value is of another type or out of its range.
    """
    check_known(values, known)
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        raise RunError(f"setting {first_problem(error)}") from None


def check_known(values: Mapping[str, Any], known: set[str]) -> None:
    """See that every name is one that may be given.

    Raises:
        RunError: one is not.
    """
    unknown = sorted(set(values) - known)
    if unknown:
        raise RunError(f"unknown setting {unknown[0]!r}; choose from {', '.join(sorted(known))}")
