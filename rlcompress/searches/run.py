"""`run_search`: from a problem to the best policy, with every figure measured on the images meant for it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rlcompress.data import DataSplits, ImageSet
from rlcompress.envs import Outcome, Problem, policy_id
from rlcompress.errors import RunError
from rlcompress.evaluation import Evaluator, Score
from rlcompress.hw_models import HardwareModel
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import TracedNetwork
from rlcompress.searches.folder import RunFolder
from rlcompress.searches.methods import METHODS, propose
from rlcompress.searches.result import Figures, FrontEntry, SearchResult
from rlcompress.searches.selection import finalists, pareto
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.telemetry import Telemetry
from rlcompress.spec import REFERENCE_BITS, ChoiceBatch, CompressionPolicy
from rlcompress.threads import one_thread


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands.

    Attributes:
        phase: ``sensitivity``, ``search`` or ``final``.
        done: steps of the phase.
        total: steps that the phase will take; None where only a time limit ends it.
        best_saved_pct: most energy saved so far by a policy whose measured drop is allowed.
        outcome: the evaluation just made, in the search phase.
    """

    phase: str
    done: int
    total: int | None
    best_saved_pct: float = 0.0
    outcome: Outcome | None = None


OnProgress = Callable[[Progress], None]


@one_thread()
def run_search(
    network: TracedNetwork,
    card: NetworkCard,
    data: DataSplits,
    hardware: HardwareModel,
    settings: SearchSettings,
    folder: RunFolder | None = None,
    on_progress: OnProgress | None = None,
) -> SearchResult:
    """Search a policy.

    Candidates are scored on the first search images, finalists on those that remain, the front on the test images
    once at the end.

    Args:
        network: a traced, pretrained network.
        card: its normalisation.
        data: images, split by purpose.
        hardware: the accelerator.
        settings: of the search.
        folder: to write to; None keeps everything in memory.
        on_progress: called after every step of every phase.

    Raises:
        RunError: an unknown agent, or no policy stays within the allowed drop.
        RlcompressError: images, network and hardware do not fit together.
    """
    if settings.agent not in METHODS:
        raise RunError(f"unknown agent {settings.agent!r}; choose from {', '.join(METHODS)}")
    started = time.monotonic()
    report = on_progress or (lambda _progress: None)
    torch.manual_seed(settings.seed)
    problem = Problem.of(
        network, card, data, hardware, settings.problem, lambda i, n: report(Progress("sensitivity", i, n))
    )
    problem.budget = settings.evaluations
    problem.deadline = None if settings.minutes is None else started + 60.0 * settings.minutes
    _explore(problem, settings, folder, report)
    fresh = _evaluator(problem, card, _fresh_search_images(data, settings))
    chosen, scores, drops = _rescored(problem, settings, fresh, report)
    if drops.min() > settings.max_drop:
        raise RunError(
            f"no policy loses at most {settings.max_drop:g} points: the nearest loses {drops.min():.2f}; "
            "allow more with --max-drop, or more bits with --max-bits"
        )
    tested = _evaluator(problem, card, data.test)
    ranked = pareto(np.array([o.saved_pct for o in chosen]), drops)
    front = []
    for i in ranked:
        score = tested.score(problem.bank.stitch(problem.choices(chosen[i].choices)))
        front.append(_entry(problem, chosen[i], scores[i], score))
        report(Progress("final", len(chosen) + len(front), len(chosen) + len(ranked)))
    best = next(entry for entry, i in zip(front, ranked, strict=True) if drops[i] <= settings.max_drop)
    baseline, reference = (_dense_figures(problem, bits, fresh, tested) for bits in (8, REFERENCE_BITS))
    result = SearchResult(
        network=network.name,
        hardware=hardware.name,
        target=settings.problem.target,
        seed=settings.seed,
        evaluations=problem.evaluations,
        seconds=time.monotonic() - started,
        baseline=baseline,
        reference=reference,
        best=best,
        front=tuple(front),
        bank=problem.bank,
    )
    if folder is not None:
        folder.save(result)
    return result


def _explore(problem: Problem, settings: SearchSettings, folder: RunFolder | None, report: OnProgress) -> None:
    """Let the method propose policies, with every evaluation recorded, logged and reported."""
    best = 0.0
    if folder is not None:
        folder.begin()
        folder.save_sensitivity(problem.sensitivity)
        problem.recorded = folder.recorded
    with Telemetry(folder.path if folder else None) as telemetry:

        def on_outcome(outcome: Outcome) -> None:
            nonlocal best
            if outcome.score.drop <= settings.max_drop:
                best = max(best, outcome.saved_pct)
            if folder is not None:
                folder.append(outcome)
            telemetry.write(outcome, best)
            report(Progress("search", outcome.number, settings.evaluations, best, outcome))

        problem.on_outcome = on_outcome
        propose(problem, settings, folder.path if folder else None)


def _rescored(
    problem: Problem, settings: SearchSettings, fresh: Evaluator, report: OnProgress
) -> tuple[list[Outcome], list[Score], NDArray[np.float64]]:
    """Finalists, their scores on fresh search images, and the larger of each one's two measured drops: [F].

    The best of several drops measured on few images is luck; a policy counts as within a drop if both sets of images
    say so.
    """
    chosen = finalists(list(problem.outcomes.values()), settings.max_drop)
    scores = []
    for i, outcome in enumerate(chosen):
        scores.append(fresh.score(problem.bank.stitch(problem.choices(outcome.choices))))
        report(Progress("final", i + 1, 2 * len(chosen)))
    return chosen, scores, np.array([max(o.score.drop, s.drop) for o, s in zip(chosen, scores, strict=True)])


def _entry(problem: Problem, outcome: Outcome, search: Score, test: Score) -> FrontEntry:
    return FrontEntry(
        id=policy_id(outcome.choices),
        figures=Figures(
            energy_uj=outcome.energy_uj,
            latency_ms=outcome.latency_ms,
            metric_search=search.metric,
            metric_test=test.metric,
        ),
        energy_saved_pct=_energy_saved_pct(problem, outcome),
        drop_search=search.drop,
        drop_test=test.drop,
        images_test=test.images,
        policy=_policy(problem, outcome.choices, search.drop),
    )


def _policy(problem: Problem, choices: ChoiceBatch, drop: float) -> CompressionPolicy:
    cost = problem.costs(choices)
    return CompressionPolicy.of(
        problem.choices(choices),
        network=problem.network.reference,
        hardware=problem.hardware.name,
        metrics={
            "energy_uj": round(float(cost.energy_uj[0]), 6),
            "latency_ms": round(float(cost.latency_ms[0]), 6),
            "drop_search": round(drop, 4),
        },
    )


def _energy_saved_pct(problem: Problem, outcome: Outcome) -> float:
    return 100.0 * (1.0 - outcome.energy_uj / float(problem.costs(problem.space.uniform(8)).energy_uj[0]))


def _dense_figures(problem: Problem, bits: int, search: Evaluator, test: Evaluator) -> Figures:
    """The pretrained network's metrics beside its cost at dense ``bits``."""
    cost = problem.costs(problem.space.uniform(bits))
    return Figures(
        energy_uj=float(cost.energy_uj[0]),
        latency_ms=float(cost.latency_ms[0]),
        metric_search=search.dense.metric,
        metric_test=test.dense.metric,
    )


def _fresh_search_images(data: DataSplits, settings: SearchSettings) -> ImageSet:
    """Search images that no candidate was scored on; all of them where none is left."""
    used = settings.problem.score_images
    if len(data.search) <= used:
        return data.search
    return data.search.part(torch.arange(used, len(data.search)))


def _evaluator(problem: Problem, card: NetworkCard, images: ImageSet) -> Evaluator:
    return Evaluator(problem.network.graph, images.normalized(slice(None), card.mean, card.std), images.labels)
