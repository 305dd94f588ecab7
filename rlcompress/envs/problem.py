"""`Problem`: everything that a policy is judged by - hardware, candidates, images - behind a few calls."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rlcompress.candidates import Candidates
from rlcompress.data import DataSplits, load_data
from rlcompress.errors import RunError
from rlcompress.evaluation import Evaluator, Score
from rlcompress.hw_models import BatchCost, HardwareModel, bops_of
from rlcompress.hw_models import load as load_hardware
from rlcompress.network.cards import NetworkCard
from rlcompress.network.pretrained import pretrained
from rlcompress.network.trace import TracedNetwork
from rlcompress.planning import ChoiceSpace, Planner, Proxy, SensitivityRow, measure_sensitivity
from rlcompress.spec import GRANULARITIES, ChoiceBatch, LayerChoice, NetworkStructure
from rlcompress.threads import one_thread

TARGETS: dict[str, Callable[[HardwareModel, NetworkStructure, ChoiceBatch], NDArray[np.float64]]] = {
    "energy": lambda hardware, network, batch: hardware.costs(network, batch).energy_pj,
    "latency": lambda hardware, network, batch: hardware.costs(network, batch).latency_s,
    "edp": lambda hardware, network, batch: hardware.costs(network, batch).edp_js,
    "bops": lambda hardware, network, batch: bops_of(network, batch),
}
"""What a search makes small: name -> figure [B] of B policies on an accelerator."""

_SENSITIVITY_IMAGES = 128
_FIRST_SLOPE = 60.0  # points a unit of relative logit error, typical of CIFAR networks; until something is measured
_PRIOR_WEIGHT = 0.1  # of the first slope, in evaluations
_KERNEL_WIDTH = 0.3  # of the error's logarithm
_TINY = 1e-9


class BudgetSpent(Exception):  # noqa: N818  # not an error: the search is done
    """The allowed number of real evaluations, or the time for them, has been used."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A policy that has really been evaluated.

    Attributes:
        number: of the evaluation, from 1.
        source: what proposed the policy.
        choices: the policy as a batch of one.
        energy_uj: an inference, in microjoules.
        latency_ms: an inference, in milliseconds.
        saved_pct: percent of the target saved against dense 8 bits.
        score: what the network still gets right.
    """

    number: int
    source: str
    choices: ChoiceBatch
    energy_uj: float
    latency_ms: float
    saved_pct: float
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSettings:
    """How a problem is set up.

    Attributes:
        target: name in `TARGETS`.
        granularities: that may be chosen.
        min_bits: least bits.
        max_bits: most bits.
        score_images: search images that every candidate is scored on.
    """

    target: str = "energy"
    granularities: tuple[str, ...] = ("none", "element", "filter")
    min_bits: int = 2
    max_bits: int = 8
    score_images: int = 1000

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise RunError(f"unknown target {self.target!r}; choose from {', '.join(TARGETS)}")
        unknown = [name for name in self.granularities if name not in GRANULARITIES]
        if unknown:
            raise RunError(f"unknown granularity {unknown[0]!r}; choose from {', '.join(GRANULARITIES)}")
        if self.score_images < 1:
            raise RunError(f"score_images must be at least 1, got {self.score_images}")


@dataclass(eq=False)
class Problem:
    """A network, images and an accelerator, with every policy that has been evaluated so far.

    Attributes:
        network: traced, with profiled densities.
        hardware: the accelerator.
        bank: where compressed networks come from.
        evaluator: of the scoring images.
        space: what may be chosen.
        planner: with its proxy.
        settings: as set up.
        sensitivity: the table that the proxy rests on.
        outcomes: every policy evaluated in this run, by `policy_id`, in order.
        recorded: scores of an earlier run by policy id, used instead of evaluating again.
        budget: real evaluations allowed; None for no limit.
        deadline: value of `time.monotonic` after which nothing more is evaluated; None for no limit.
        on_outcome: called after every evaluation.
    """

    network: TracedNetwork
    hardware: HardwareModel
    bank: Candidates
    evaluator: Evaluator
    space: ChoiceSpace
    planner: Planner
    settings: ProblemSettings
    sensitivity: list[SensitivityRow]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    recorded: Mapping[str, Score] = field(default_factory=dict)
    budget: int | None = None
    deadline: float | None = None
    on_outcome: Callable[[Outcome], None] | None = None
    _plans: dict[float, ChoiceBatch] = field(default_factory=dict)

    @classmethod
    @one_thread()
    def of(
        cls,
        network: TracedNetwork,
        card: NetworkCard,
        data: DataSplits,
        hardware: HardwareModel,
        settings: ProblemSettings | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Set a problem up: fit ranges, profile densities, measure sensitivities.

        Args:
            network: a traced network.
            card: its normalisation.
            data: images.
            hardware: the accelerator.
            settings: see `ProblemSettings`.
            on_progress: called with (steps done, steps in all) of the sensitivity table.

        Raises:
            RlcompressError: images, network and hardware do not fit together.
        """
        settings = settings or ProblemSettings()
        everything = slice(None)
        calibration = data.calibration.normalized(everything, card.mean, card.std)
        bank = Candidates(network, calibration)
        network = network.with_densities(bank.densities)
        scored = slice(0, settings.score_images)
        images = data.search.normalized(scored, card.mean, card.std)
        evaluator = Evaluator(network.graph, images, data.search.labels[scored])
        space = ChoiceSpace(
            network.structure,
            granularities=settings.granularities,
            min_bits=settings.min_bits,
            max_bits=settings.max_bits,
        )
        rows = measure_sensitivity(bank, space, calibration[-_SENSITIVITY_IMAGES:], on_progress)

        def log_cost(batch: ChoiceBatch) -> NDArray[np.float64]:
            return np.log(TARGETS[settings.target](hardware, network.structure, batch))

        planner = Planner(space, Proxy(rows, space), log_cost, evaluator.logit_variance)
        return cls(network, hardware, bank, evaluator, space, planner, settings, rows)

    @classmethod
    def load(
        cls,
        *,
        network: str,
        data: str,
        hardware: str,
        weights: str | None = None,
        **settings: object,
    ) -> Self:
        """Set a problem up from names, as the command line takes them; ``settings`` are `ProblemSettings`'."""
        splits = load_data(data)
        traced, card = pretrained(network, weights)
        if "granularities" in settings:
            settings["granularities"] = tuple(settings["granularities"])  # type: ignore[arg-type]
        return cls.of(traced, card, splits, load_hardware(hardware), ProblemSettings(**settings))  # type: ignore[arg-type]

    @property
    def evaluations(self) -> int:
        """Real evaluations so far."""
        return len(self.outcomes)

    def costs(self, batch: ChoiceBatch) -> BatchCost:
        """What policies cost on the accelerator."""
        return self.hardware.costs(self.network.structure, batch)

    def log_cost(self, batch: ChoiceBatch) -> NDArray[np.float64]:
        """Natural logarithm of the target relative to dense 8 bits: [B], below 0 where something is saved."""
        return np.asarray(self.planner.log_cost(batch) - self._dense_log_cost)

    @property
    def _dense_log_cost(self) -> float:
        return float(self.planner.log_cost(self.space.uniform(8))[0])

    def predicted_drop(self, batch: ChoiceBatch) -> NDArray[np.float64]:
        """Points of top-1 that policies are predicted to lose: [B].

        The proxy's error times a slope: the ratio of measured drops to errors among the evaluations so far, those of
        similar error counting most (a Gaussian kernel on the error's logarithm).
        """
        error = self.planner.error(batch)
        known = np.array([self.planner.error(o.choices)[0] for o in self.outcomes.values()])
        drops = np.array([max(0.0, o.score.drop) for o in self.outcomes.values()])
        distance = np.log((error[:, None] + _TINY) / (known + _TINY)) / _KERNEL_WIDTH
        weight = np.exp(-0.5 * np.square(distance)) / (known + _TINY)
        prior = _PRIOR_WEIGHT / (error + _TINY)
        total = (weight * drops).sum(axis=1) + prior * _FIRST_SLOPE * error
        return error * total / ((weight * known).sum(axis=1) + prior * error)

    @property
    def _spent(self) -> bool:
        late = self.deadline is not None and time.monotonic() > self.deadline
        return late or (self.budget is not None and self.evaluations >= self.budget)

    def choices(self, policy: ChoiceBatch) -> dict[str, LayerChoice]:
        """A batch of one as layer name -> choice."""
        return policy.choices(0, self.network.structure.layers)

    @one_thread()
    def evaluate(self, policy: ChoiceBatch, source: str) -> Outcome:
        """Score one policy on the scoring images; the same policy is never scored twice.

        Args:
            policy: a batch of one that the space allows.
            source: what proposed it.

        Raises:
            BudgetSpent: the policy is new and no evaluation is left.
        """
        key = policy_id(policy)
        if key in self.outcomes:
            return self.outcomes[key]
        if self._spent:
            raise BudgetSpent
        score = self.recorded.get(key) or self.evaluator.score(self.bank.stitch(self.choices(policy)))
        cost = self.costs(policy)
        outcome = Outcome(
            number=self.evaluations + 1,
            source=source,
            choices=policy,
            energy_uj=float(cost.energy_uj[0]),
            latency_ms=float(cost.latency_ms[0]),
            saved_pct=100.0 * (1.0 - float(np.exp(self.log_cost(policy)[0]))),
            score=score,
        )
        self.outcomes[key] = outcome
        if self.on_outcome is not None:
            self.on_outcome(outcome)
        return outcome

    def plan(self, max_drop: float) -> ChoiceBatch:
        """The boldest plan on the planner's path whose measured drop is allowed, found by bisection."""
        if max_drop not in self._plans:
            path = self.planner.path
            good, bad = 0, len(path)
            while bad - good > 1:
                middle = (good + bad) // 2
                if self.evaluate(path[middle], "planner").score.drop <= max_drop:
                    good = middle
                else:
                    bad = middle
            self._plans[max_drop] = path[good]
        return self._plans[max_drop]


def policy_id(policy: ChoiceBatch) -> str:
    """Twelve hexadecimal digits that tell a batch of one from others."""
    digest = hashlib.sha256()
    for array in (policy.granularity, policy.keep_ratio, policy.weight_bits, policy.activation_bits):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]
