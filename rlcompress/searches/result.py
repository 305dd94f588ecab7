"""What a search ends with."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlcompress.candidates import Candidates
from rlcompress.evaluation import Metric
from rlcompress.export import check_wish, export
from rlcompress.integer import IntegerNetwork, lower
from rlcompress.network.cards import NetworkCard
from rlcompress.searches.summary import summary_of
from rlcompress.spec import CompressionPolicy
from rlcompress.threads import one_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A network's cost and what it gets right.

    Attributes:
        energy_uj: an inference, in microjoules.
        latency_ms: an inference, in milliseconds.
        metric_search: metric on the search images that candidates were not scored on.
        metric_test: metric on the test images.
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
        drop_search: lost of the metric, in its unit, against the pretrained network on the same search images.
        drop_search_error: its standard error.
        drop_likely: what it is judged by, see `rlcompress.searches.selection.final_drops`.
        drop_test: lost on the test images.
        drop_test_error: its standard error.
        images_test: how many those are.
        policy: what is done to every layer.
    """

    id: str
    figures: Figures
    energy_saved_pct: float
    drop_search: float
    drop_search_error: float
    drop_likely: float
    drop_test: float
    drop_test_error: float
    images_test: int
    policy: CompressionPolicy

    def row(self) -> dict[str, Any]:
        """The entry as a row of front.csv and the ``best`` of result.json."""
        drops = ("drop_search", "drop_search_error", "drop_likely", "drop_test", "drop_test_error")
        rest = ("energy_saved_pct", *drops, "images_test")
        return {**asdict(self.figures), **{key: getattr(self, key) for key in rest}}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SearchResult:
    """The outcome of a search.

    Attributes:
        network: name.
        hardware: name.
        energy_unit: what energies are in: microjoules, or millions of MACs where the description's are relative to one.
        target: what was made small.
        metric: what networks were judged by.
        seed: of the search.
        max_drop: points that might be lost.
        evaluations: real evaluations.
        seconds: wall-clock, setting up and final tests included.
        baseline: the pretrained network; its cost at dense 8 bits.
        reference: the same at dense 16 bits; None where the accelerator has no such width.
        best: the cheapest policy within the allowed drop; where there is none, the one of the front that loses least.
        best_by_goal: allowed drop -> the cheapest policy within it, for every goal that was reached.
        missed: one line about the allowed drops that no policy stays within; None where all were reached.
        front: the Pareto front, most saved first.
        bank: where compressed networks come from.
        card: the network's input and metric.
    """

    network: str
    hardware: str
    energy_unit: str
    target: str
    metric: Metric
    seed: int
    max_drop: float
    evaluations: int
    seconds: float
    baseline: Figures
    reference: Figures | None
    best: FrontEntry
    best_by_goal: dict[float, FrontEntry]
    missed: str | None
    front: tuple[FrontEntry, ...]
    bank: Candidates
    card: NetworkCard

    @property
    def policy(self) -> CompressionPolicy:
        """The best policy, or the nearest, see ``best``."""
        return self.best.policy

    @property
    def within(self) -> bool:
        """Whether the best policy is within the allowed drop."""
        return self.max_drop in self.best_by_goal

    @property
    def policies(self) -> dict[str, CompressionPolicy]:
        """File name -> policy: policy.json within the allowed drop, policy_GOAL.json of each goal of several."""
        several = len(self.best_by_goal) > 1 or not self.within
        named = {"policy.json": self.policy} if self.within else {}
        goals = self.best_by_goal if several else {}
        return named | {f"policy_{goal:g}.json": entry.policy for goal, entry in goals.items()}

    def compressed(self, engine: str = "auto") -> IntegerNetwork:
        """The network compressed by the best policy, in integers: normalised images [N, C, H, W] -> logits.

        Args:
            engine: name in `rlcompress.integer.ENGINES`; the logits do not depend on it.
        """
        return lower(self.bank.final(self.policy.choices), engine=engine)

    @one_thread()
    def export(self, path: str | Path, format: str = "onnx", *, int4: bool = False) -> set[str]:  # noqa: A002
        """Write the network compressed by the best policy to a file, see `rlcompress.export.export`.

        Args:
            path: file to write.
            format: name in `rlcompress.export.FORMATS`.
            int4: ONNX only: weights of up to 4 bits as INT4, which needs opset 21.

        Returns:
            Operators that the file's usual runtime may compute differently in the last bits; empty if outputs are the
            same bits as those of `compressed`.

        Raises:
            RunError, NetworkError: as there.
        """
        check_wish(path, format, int4)
        return export(self.bank.final(self.policy.choices), self.policy, self.card, path, format, int4=int4)

    def __repr__(self) -> str:
        """The summary table, as prompts show it."""
        return summary_of(self).to_text()

    def _repr_html_(self) -> str:
        """The summary table, as notebooks show it."""
        return summary_of(self).to_html()

    def as_json(self) -> dict[str, Any]:
        """What result.json holds."""
        keys = ("network", "hardware", "target", "seed", "max_drop", "evaluations", "seconds")
        head = {key: getattr(self, key) for key in keys}
        head |= {"metric": self.metric.name, "metric_unit": self.metric.unit}
        reference = None if self.reference is None else asdict(self.reference)
        figures = {"baseline": asdict(self.baseline), "baseline_16bit": reference}
        goals = {f"{goal:g}": {"id": entry.id, **entry.row()} for goal, entry in self.best_by_goal.items()}
        return {
            **head,
            "repair": self.bank.repair,
            **figures,
            "best": {"id": self.best.id, **self.best.row()},
            "best_by_goal": goals,
            "missed": self.missed,
        }
