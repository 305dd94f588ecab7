"""What a search ends with."""

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from rlcompress.candidates import Candidates
from rlcompress.spec import CompressionPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A network's cost and what it gets right.

    Attributes:
        energy_uj: an inference, in microjoules.
        latency_ms: an inference, in milliseconds.
        metric_search: percent on the search images that candidates were not scored on.
        metric_test: percent on the test images.
    """

    energy_uj: float
    latency_ms: float
    metric_search: float
    metric_test: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEntry:
    """One policy of the Pareto front.

    Attributes:
        id: of the policy.
        figures: its cost and metrics.
        energy_saved_pct: against dense 8 bits.
        drop_search: points lost against the pretrained network on the same search images.
        drop_test: points lost on the test images.
        images_test: how many those are.
        policy: what is done to every layer.
    """

    id: str
    figures: Figures
    energy_saved_pct: float
    drop_search: float
    drop_test: float
    images_test: int
    policy: CompressionPolicy

    def row(self) -> dict[str, Any]:
        """The entry as a row of front.csv and the ``best`` of result.json."""
        rest = ("energy_saved_pct", "drop_search", "drop_test", "images_test")
        return {**asdict(self.figures), **{key: getattr(self, key) for key in rest}}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The outcome of a search.

    Attributes:
        network: name.
        hardware: name.
        target: what was made small.
        seed: of the search.
        evaluations: real evaluations.
        seconds: wall-clock, setting up and final tests included.
        baseline: the pretrained network; its cost at dense 8 bits.
        reference: the same at dense 16 bits.
        best: the cheapest policy within the allowed drop.
        front: the Pareto front, most saved first.
        bank: where compressed networks come from.
    """

    network: str
    hardware: str
    target: str
    seed: int
    evaluations: int
    seconds: float
    baseline: Figures
    reference: Figures
    best: FrontEntry
    front: tuple[FrontEntry, ...]
    bank: Candidates

    @property
    def policy(self) -> CompressionPolicy:
        """The best policy."""
        return self.best.policy

    def compressed(self) -> nn.Module:
        """The network compressed by the best policy, in eval mode: images [N, C, H, W] -> logits."""
        return self.bank.stitch(self.policy.choices)

    def as_json(self) -> dict[str, Any]:
        """What result.json holds."""
        keys = ("network", "hardware", "target", "seed", "evaluations", "seconds")
        head = {key: getattr(self, key) for key in keys}
        figures = {"baseline": asdict(self.baseline), "baseline_16bit": asdict(self.reference)}
        return {**head, **figures, "best": {"id": self.best.id, **self.best.row()}}
