"""`Problem`: everything that a policy is judged by - hardware, candidates, images - behind a few calls."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.export import ExportedProgram

from rlcompress.candidates import Candidates, calibration_images
from rlcompress.data import DataSplits, ImageSet
from rlcompress.envs.memory_need import memory_shares
from rlcompress.envs.outcome import BudgetSpent, Outcome, policy_id
from rlcompress.envs.settings import TARGETS, LogCost, ProblemSettings
from rlcompress.envs.subject import accelerator, given, named
from rlcompress.errors import HardwareError, RunError
from rlcompress.evaluation import Evaluator, FinalScorer, Score, Scorer, Selection, best_of, likely_drops, metric_of
from rlcompress.hw_models import DEFAULT_HARDWARE, BatchCost, HardwareModel
from rlcompress.integer import IntegerNetwork, lower
from rlcompress.memory import MemoryShares
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import TracedNetwork
from rlcompress.planning import (
    ChoiceSpace,
    Planner,
    Proxy,
    SensitivityRow,
    Surrogate,
    covers,
    kept_sensitivity,
    measure_sensitivity,
)
from rlcompress.spec import ChoiceBatch, CompressionPolicy, LayerChoice
from rlcompress.threads import one_thread
from rlcompress.workers import WorkerPool, check_can_go

_SENSITIVITY_IMAGES = 128
_PATIENCE_S = 600.0  # for one candidate

_Result = TypeVar("_Result")

Finals = Callable[[Sequence[ChoiceBatch]], Iterator[tuple[IntegerNetwork, list[Score]]]]


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
        budget: real evaluations allowed, beyond which `evaluate` raises `BudgetSpent`; None for no limit.
        deadline: value of `time.monotonic` after which nothing more is evaluated, once something was; None for no
            limit.
        on_outcome: called after every evaluation.
        workers: processes that batches of policies are spread over; 1 for none but this one.
        memory: bounds that hold in every process.
        surrogate: predicts drops; learns from every evaluation of this run.
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
    workers: int = 1
    memory: MemoryShares = field(default_factory=MemoryShares)
    surrogate: Surrogate = field(init=False)
    _plans: dict[float, ChoiceBatch] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.surrogate = Surrogate(self.planner.proxy, self.evaluator.error_scale, self.evaluator.metric.slope)

    def fresh(self, recorded: Mapping[str, Score] | None = None) -> Self:
        """The same problem before any evaluation, for another search or environment; its set-up is shared.

        Every evaluation corrects the surrogate, and with it plans and potentials, so environments that are to give the
        same for the same seed, or an environment that only tests an agent, need a problem of their own.

        Args:
            recorded: scores by policy id that are used again.
        """
        return replace(self, outcomes={}, recorded=recorded or {}, budget=None, deadline=None, on_outcome=None)

    @classmethod
    @one_thread()
    def of(
        cls,
        network: TracedNetwork,
        card: NetworkCard,
        data: DataSplits,
        hardware: HardwareModel,
        settings: ProblemSettings | None = None,
        on_progress: Callable[[str, int, int], None] | None = None,
        measured: Sequence[SensitivityRow] = (),
        workers: int = 1,
    ) -> Self:
        """Set a problem up: fit ranges, profile densities, measure sensitivities.

        Args:
            network: a traced network.
            card: its normalisation and metric.
            data: images.
            hardware: the accelerator.
            settings: see `ProblemSettings`.
            on_progress: called with (phase, steps done, steps in all); phases are ``ranges`` and ``sensitivity``.
            measured: the table of an earlier set-up of the same problem, used again if it is whole.
            workers: processes that batches of policies are spread over.

        Raises:
            RlcompressError: images, network and hardware do not fit together, the memory is too small for them, or
                network and metric cannot be handed to workers.
        """

        def on(phase: str) -> Callable[[int, int], None] | None:
            return None if on_progress is None else partial(on_progress, phase)

        settings = settings or ProblemSettings()
        if workers > 1:
            check_can_go((network, metric_of(card.metric)))
        index_bits = _index_bits(hardware, settings)
        memory = memory_shares(network, data, settings.memory, settings.repair, workers)
        network = network.with_round_to(settings.round_to or hardware.description.round_to)
        space = ChoiceSpace(
            network.structure,
            granularities=settings.granularities,
            min_bits=settings.min_bits,
            max_bits=settings.max_bits,
            end_bits=settings.end_bits,
            index_bits=index_bits,
        )
        if space.fixed:
            raise RunError(
                f"nothing may be chosen: no pruning, and {space.min_bits} bits everywhere; allow other granularities "
                "than 'none', or a range from --min-bits to --max-bits"
            )
        if not TARGETS[settings.target](hardware, network.structure, space.uniform(8))[0] > 0.0:
            raise HardwareError(
                f"{hardware.name} gives {network.name} no {settings.target} at all, so that none can be saved; measure "
                "it, or search for another --target"
            )
        calibration = calibration_images(
            network, settings.repair, card, lambda: data.calibration.normalized(slice(None), card.mean, card.std)
        )
        bank = Candidates(
            network, calibration, learning=partial(data.learning, card.mean, card.std), repair=settings.repair,
            correction=settings.correction, memory=memory if settings.memory else None, cache=settings.cache,
            on_range=on("ranges"),
        )  # fmt: skip
        unseen = _unseen(calibration[bank.hessian_images :], data.search, card)
        del calibration
        network = network.with_densities(bank.densities)
        scored = slice(0, settings.score_images)
        evaluator = Evaluator(network.graph, data.search.part(scored), card)
        if not evaluator.error_scale > 0.0:
            raise RunError(
                "the network gives the same outputs for every image, so that nothing can be lost; check its weights"
            )
        rows = list(measured)
        if not covers(rows, space):
            most = memory.sensitivity
            rows = kept_sensitivity(
                bank,
                space,
                unseen,
                most,
                lambda: measure_sensitivity(bank, space, unseen, on("sensitivity"), most, engine=settings.engine),
            )
        cost = LogCost(hardware, network.structure, settings.target)
        planner = Planner(space, Proxy(rows, space), cost, evaluator.error_scale)
        return cls(network, hardware, bank, evaluator, space, planner, settings, rows, workers=workers, memory=memory)

    @classmethod
    def load(
        cls,
        *,
        network: str,
        data: str,
        hardware: str = DEFAULT_HARDWARE,
        weights: str | None = None,
        metric: str | None = None,
        input_shape: Sequence[int] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        **settings: object,
    ) -> Self:
        """Set a problem up from names, see `rlcompress.envs.subject.named`; ``settings`` are `ProblemSettings`'.

        Raises:
            RlcompressError: something does not fit; the message says what to do.
        """
        chosen = ProblemSettings.of(settings)
        subject = named(network, data, weights, metric, input_shape, mean, std)
        return cls.of(*subject, accelerator(hardware), chosen)

    @classmethod
    def given(
        cls,
        model: nn.Module | ExportedProgram,
        data: object,
        *,
        mean: ArrayLike,
        std: ArrayLike,
        metric: str | Callable[..., Any] = "top1",
        hardware: str | HardwareModel = DEFAULT_HARDWARE,
        **settings: object,
    ) -> Self:
        """Set a problem up from Python objects, as `rlcompress.search` takes them; ``settings`` as in `load`.

        Raises:
            RlcompressError: something does not fit; the message says what to do.
        """
        chosen = ProblemSettings.of(settings)
        return cls.of(*given(model, data, mean, std, metric), accelerator(hardware), chosen)

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer(self.bank, self.evaluator, self.settings.engine)

    @cached_property
    def _pool(self) -> WorkerPool[dict[str, LayerChoice], Score] | None:
        return self._workers_for(self._scorer) if self.workers > 1 else None

    def _workers_for(
        self, function: Callable[[dict[str, LayerChoice]], _Result], patience_s: float = _PATIENCE_S
    ) -> WorkerPool[dict[str, LayerChoice], _Result]:
        return WorkerPool(function, self.workers, patience_s=patience_s)

    def close(self) -> None:
        """End the workers; another batch would start them again."""
        if self._pool is not None:
            self._pool.close()

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

    @cached_property
    def _dense_log_cost(self) -> float:
        return float(self.planner.log_cost(self.space.uniform(8))[0])

    def predicted_drop(self, batch: ChoiceBatch) -> NDArray[np.float64]:
        """Units of the metric that policies are predicted to lose, see `Surrogate`: [B]."""
        return self.surrogate.drop(batch)

    def measured_error(self, score: Score) -> float:
        """What the surrogate predicts and the drop is nearly proportional to: the clipped KL divergence.

        Among candidates near one point on ResNet-20 its rank correlation with the drop is 0.87, the logit error's 0.58.
        Without classes it is the relative error of the outputs.
        """
        return score.logit_mse / self.evaluator.error_scale if score.kl is None else score.kl

    def candidate(self, policy: ChoiceBatch) -> IntegerNetwork:
        """The network that a policy, a batch of one, is scored by."""
        return self._scorer.network(self.choices(policy))

    def final(self, policy: ChoiceBatch) -> IntegerNetwork:
        """The network that a policy gets which is kept: takes some seconds, see `Candidates.final`."""
        return lower(self.bank.final(self.choices(policy)), engine=self.settings.engine)

    @contextmanager
    def finals(self, *evaluators: Evaluator) -> Iterator[Finals]:
        """Gives a function from policies to each one's final network and its scores, in order, spread over workers."""
        task = FinalScorer(self.bank, evaluators, self.settings.engine)
        # a final network takes as long as it takes: hours, where rounding is learned in many steps
        with self._workers_for(task, math.inf) if self.workers > 1 else nullcontext() as pool:

            def finals(policies: Sequence[ChoiceBatch]) -> Iterator[tuple[IntegerNetwork, list[Score]]]:
                choices = [self.choices(policy) for policy in policies]
                for graph, scores in map(task, choices) if pool is None else pool.map(choices):
                    yield lower(graph, engine=self.settings.engine), scores

            yield finals

    def choices(self, policy: ChoiceBatch) -> dict[str, LayerChoice]:
        """A batch of one as layer name -> choice."""
        return policy.choices(0, self.network.structure.layers)

    def policy(self, choices: ChoiceBatch, drop: float) -> CompressionPolicy:
        """A batch of one as the policy that its ``save`` writes, with its costs and the drop that was measured."""
        cost = self.costs(choices)
        return CompressionPolicy.of(
            self.choices(choices),
            network=self.network.reference,
            hardware=self.hardware.name,
            round_to=self.network.specs[0].round_to,
            metrics={
                "repair": self.bank.repair,
                "energy_uj": round(float(cost.energy_uj[0]), 6),
                "latency_ms": round(float(cost.latency_ms[0]), 6),
                "drop_search": round(drop, 4),
            },
        )

    def evaluate(self, policy: ChoiceBatch, source: str) -> Outcome:
        """Score one policy, see `evaluate_many`."""
        return self.evaluate_many([policy], source)[0]

    @one_thread()
    def evaluate_many(self, policies: Sequence[ChoiceBatch], source: str) -> list[Outcome]:
        """Score policies on the scoring images, as if one after the other; the same policy is never scored twice.

        Every outcome is kept and reported as soon as it and those before it are known.

        Args:
            policies: batches of one that the space allows.
            source: what proposed them.

        Returns:
            One outcome a policy, in their order.

        Raises:
            BudgetSpent: a policy is new and no evaluation is left for it, those before it being scored, or the deadline
                has passed.
        """
        self._check_deadline()
        keys = [policy_id(policy) for policy in policies]
        new = {key: policy for key, policy in zip(keys, policies, strict=True) if key not in self.outcomes}
        left = len(new) if self.budget is None else max(0, self.budget - self.evaluations)
        affordable = dict(list(new.items())[:left])
        with closing(self._scores([p for key, p in affordable.items() if key not in self.recorded])) as measured:
            for key, policy in affordable.items():
                self._check_deadline()
                self._record(key, policy, source, self.recorded.get(key) or next(measured))
        if left < len(new):
            raise BudgetSpent
        return [self.outcomes[key] for key in keys]

    def _check_deadline(self) -> None:
        if self.outcomes and self.deadline is not None and time.monotonic() > self.deadline:
            raise BudgetSpent

    @one_thread()
    def best_of(self, policies: Sequence[ChoiceBatch], *, keep: int = 1, images_each: int = 224) -> Selection:
        """The best few of many policies, batches of one, by successive halving on the scoring images.

        Nothing is recorded and no evaluation of the budget is spent; see `rlcompress.evaluation.best_of`.
        """
        choices = [self.choices(policy) for policy in policies]
        return best_of(self._scorer, choices, keep=keep, images_each=images_each)

    def _scores(self, policies: Sequence[ChoiceBatch]) -> Generator[Score, None, None]:
        choices = [self.choices(policy) for policy in policies]
        if len(choices) > 1 and self._pool is not None:
            return self._pool.map(choices)
        return (self._scorer(one) for one in choices)

    def _record(self, key: str, policy: ChoiceBatch, source: str, score: Score) -> None:
        cost = self.costs(policy)
        self.outcomes[key] = outcome = Outcome(
            number=self.evaluations + 1,
            source=source,
            choices=policy,
            energy_uj=float(cost.energy_uj[0]),
            latency_ms=float(cost.latency_ms[0]),
            saved_pct=100.0 * (1.0 - float(np.exp(self.log_cost(policy)[0]))),
            score=score,
        )
        drops = likely_drops([known.score for known in self.outcomes.values()])
        self.surrogate.learn(policy, self.measured_error(score), drops)
        if self.on_outcome is not None:
            self.on_outcome(outcome)

    def plan(self, max_drop: float) -> ChoiceBatch:
        """The boldest plan on the planner's path whose measured drop is allowed, found by bisection.

        Where none is, the most cautious one.
        """
        if max_drop not in self._plans:
            path = self.planner.path
            good, bad = 0, len(path)
            while bad - good > 1:
                middle = (good + bad) // 2
                if self.evaluate(path[middle], "planner").score.drop <= max_drop:
                    good = middle
                else:
                    bad = middle
            if good == 0:
                self.evaluate(path[0], "planner")
            self._plans[max_drop] = path[good]
        return self._plans[max_drop]


def _unseen(further: Tensor, search: ImageSet, card: NetworkCard) -> Tensor:
    """Images [N, C, H, W] that no weight was fitted to, to measure sensitivities on.

    Weights that were fitted to the same images would seem to lose too little, those of a classifier behind removed
    channels nothing at all.

    Args:
        further: calibration images that the compensation does not look at; search images stand in for too few.
        search: see there.
        card: what the network wants.
    """
    if len(further) >= _SENSITIVITY_IMAGES:
        return further[-_SENSITIVITY_IMAGES:].clone()
    return search.normalized(slice(-_SENSITIVITY_IMAGES, None), card.mean, card.std)


def _index_bits(hardware: HardwareModel, settings: ProblemSettings) -> int:
    """Most bits of clustered weights in a search; 0 where there are none."""
    if not settings.clustering:
        return 0
    if hardware.widest_index < settings.min_bits:
        widest = hardware.widest_index
        stored = f"indices of at most {widest} bits" if widest else "no indices of codebooks"
        mend = f"allow {widest} bits by --min-bits" if widest else "take one that does, such as ethosu55_256"
        raise RunError(f"{hardware.name} stores {stored}; leave out --clustering, or {mend}")
    return hardware.widest_index
