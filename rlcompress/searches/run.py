"""`run_search`: from a problem to the best policy, with every figure measured on the images meant for it."""

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import MaybeCallback

from rlcompress.agents import check_agent_file
from rlcompress.data import DataSplits, Images, ImageSet
from rlcompress.envs import Outcome, Problem, policy_id
from rlcompress.errors import HardwareError, RlcompressWarning, RunError
from rlcompress.evaluation import Evaluator, Score, metric_of
from rlcompress.hw_models import HardwareModel, million_of
from rlcompress.integer import IntegerNetwork
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import TracedNetwork
from rlcompress.report import write_report
from rlcompress.report.costs import saved_pct
from rlcompress.report.pictures import run_pictures
from rlcompress.report.records import MetricName
from rlcompress.searches.beside import finals_beside
from rlcompress.searches.doubts import warn_of_doubts
from rlcompress.searches.finals import judged, most_finals
from rlcompress.searches.folder import RunFolder
from rlcompress.searches.methods import PLANNING, check_agent_settings, check_method, propose
from rlcompress.searches.result import Figures, FrontEntry, SearchResult
from rlcompress.searches.selection import best_within, pareto
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.telemetry import Telemetry
from rlcompress.searches.watch import Watch
from rlcompress.spec import REFERENCE_BITS
from rlcompress.threads import one_thread

_FEWEST_FRESH = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands.

    Attributes:
        phase: ``ranges`` (tuned, tensor by tensor), ``sensitivity``, ``search``, ``final`` (finalists on fresh search
            images; ``rounding`` for the steps of their learned rounding) or ``test`` (the front on test images).
        done: steps of the phase.
        total: steps that the phase will take, or with final networks may take; None where only a time limit ends it.
        best_saved_pct: most of the target saved so far by a policy whose measured drop is allowed.
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
    *,
    callback: MaybeCallback = None,
    logger: Logger | None = None,
) -> SearchResult:
    """Search a policy.

    Where no policy stays within the allowed drop, the result holds the nearest and a warning says so.

    Candidates are scored on the first search images, the final networks of finalists on those that remain as well, and
    those of the front on the test images once at the end.

    Args:
        network: a traced, pretrained network.
        card: its normalisation and metric.
        data: images, split by purpose.
        hardware: the accelerator.
        settings: of the search.
        folder: to write to; None keeps everything in memory.
        on_progress: called after every step of every phase.
        callback: Stable-Baselines3's, for agents that learn.
        logger: Stable-Baselines3's; its outputs get the search's and the agent's scalars, beside the folder's events.

    Raises:
        RunError: an unknown agent, a callback for one that does not learn or that ends it before an evaluation, or an
            allowed drop that allows everything.
        RlcompressError: images, network and hardware do not fit together.
    """
    try:
        return _run(network, card, data, hardware, settings, folder, on_progress, callback, logger)
    finally:
        if folder is not None:
            folder.release()


def _run(
    network: TracedNetwork,
    card: NetworkCard,
    data: DataSplits,
    hardware: HardwareModel,
    settings: SearchSettings,
    folder: RunFolder | None,
    on_progress: OnProgress | None,
    callback: MaybeCallback,
    logger: Logger | None,
) -> SearchResult:
    check_method(settings.agent, callback)
    check_agent_settings(settings)
    metric_of(card.metric).check_allowed(settings.all_goals)
    if settings.agent_from is not None:
        check_agent_file(settings.agent_from)  # before anything is measured
    if folder is not None:
        folder.check_hardware(hardware)
    started = time.monotonic()
    report = on_progress or (lambda _progress: None)
    torch.manual_seed(settings.seed)
    problem = Problem.of(
        network,
        card,
        data,
        hardware,
        settings.problem,
        lambda phase, i, n: report(Progress(phase, i, n)),
        folder.read_sensitivity() if folder else (),
        settings.workers,
    )
    problem.deadline = None if settings.minutes is None else started + 60.0 * settings.minutes
    if folder is not None:
        folder.begin(_inputs(problem, card, data, settings), problem)
    path = folder.path if folder else None
    warn_of_doubts(problem, data, path)
    dense_uj = float(problem.costs(problem.space.uniform(8)).energy_uj[0])
    with Telemetry(path, logger, dense_uj) as telemetry:
        explore(problem, settings, folder, report, telemetry, Watch(path, telemetry.agent_logger(), callback))
        result = _concluded(problem, card, data, settings, folder, report, started)
        if folder is not None:
            folder.save(result)
            write_report([folder.path])
            telemetry.finish(run_pictures(folder.path), settings.as_json(), result.best.row())
    if result.missed:
        warnings.warn(result.missed, RlcompressWarning, stacklevel=2)
    return result


def _concluded(
    problem: Problem,
    card: NetworkCard,
    data: DataSplits,
    settings: SearchSettings,
    folder: RunFolder | None,
    report: OnProgress,
    started: float,
) -> SearchResult:
    """Choose among the candidates on fresh search images, and look at the test images once."""
    fresh, evaluations = evaluator_of(problem, card, fresh_search_images(data, settings)), problem.evaluations
    chosen, networks, scores, drops = finished(problem, settings, folder, fresh, report)
    tested = evaluator_of(problem, card, data.test)
    saved = np.array([o.saved_pct for o in chosen])
    ranked = pareto(saved, drops)
    front = []
    for i in ranked:
        front.append(_entry(problem, chosen[i], scores[i], float(drops[i]), tested.score(networks[i])))
        report(Progress("test", len(front), len(ranked)))
    if folder is not None:
        folder.save_front(front)
    reached = {goal: best_within(saved[ranked], drops[ranked], goal) for goal in settings.all_goals}
    best_by_goal = {goal: front[i] for goal, i in reached.items() if i is not None}
    metric = problem.evaluator.metric
    return SearchResult(
        network=problem.network.name,
        hardware=problem.hardware.name,
        energy_unit=million_of(problem.hardware.description.energy_unit),
        target=settings.problem.target,
        metric=metric,
        seed=settings.seed,
        max_drop=settings.max_drop,
        evaluations=evaluations,
        seconds=time.monotonic() - started,
        baseline=_dense_figures(problem, 8, fresh, tested),
        reference=_reference_figures(problem, fresh, tested),
        best=best_by_goal.get(settings.max_drop, front[-1]),
        best_by_goal=best_by_goal,
        missed=_missed([goal for goal, i in reached.items() if i is None], float(drops.min()), metric.unit),
        front=tuple(front),
        bank=problem.bank,
        card=card,
    )


def _missed(goals: list[float], nearest: float, unit: str) -> str | None:
    """One line about allowed drops that no policy stays within."""
    if not goals:
        return None
    metric = MetricName(unit=unit)
    named = " or ".join(metric.amount(goal) for goal in goals)
    return (
        f"no policy loses at most {named}: the nearest loses {metric.figure(nearest)}; allow more with --max-drop or "
        "--goals, or more bits with --max-bits"
    )


def _inputs(problem: Problem, card: NetworkCard, data: DataSplits, settings: SearchSettings) -> dict[str, object]:
    """What run.json tells of the inputs beside the settings; test images are not looked at, so not counted yet."""
    final = fresh_search_images(data, settings)
    images = {
        "calibration": len(data.calibration),
        "learning": problem.bank.learning_images,
        "scored": min(settings.problem.score_images, len(data.search)),
        "final": len(final),
    }
    metric = problem.evaluator.metric
    return {
        "network": problem.network.reference.model_dump(),
        "input": {"shape": list(card.input_shape), "mean": list(card.mean), "std": list(card.std)},
        "data": {"name": data.name, "sha256": data.fingerprint},
        "metric": {"name": metric.name, "label": metric.label, "unit": metric.unit},
        "images": images,
        "uncompressed": problem.network.doubts,
    }


def explore(
    problem: Problem,
    settings: SearchSettings,
    folder: RunFolder | None,
    report: OnProgress,
    telemetry: Telemetry,
    watch: Watch,
) -> None:
    """Let the method propose policies, with every evaluation recorded, logged and reported."""
    best = 0.0
    problem.budget = settings.evaluations
    if folder is not None:
        folder.save_sensitivity(problem.sensitivity)
        problem.recorded = folder.recorded

    def on_outcome(outcome: Outcome) -> None:
        nonlocal best
        if outcome.score.drop <= settings.max_drop:
            best = max(best, outcome.saved_pct)
        if folder is not None:
            folder.append(outcome, problem.choices(outcome.choices))
        telemetry.write(outcome, best)
        report(Progress("search", outcome.number, settings.evaluations, best, outcome))

    problem.on_outcome = on_outcome
    propose(problem, settings, watch)
    if not problem.outcomes:
        raise RunError("the callback ended the search before the first evaluation; let it return True for longer")


def finished(
    problem: Problem, settings: SearchSettings, folder: RunFolder | None, fresh: Evaluator, report: OnProgress
) -> tuple[list[Outcome], dict[int, IntegerNetwork], list[Score], NDArray[np.float64]]:
    """Finalists, the networks of those on the front by position, scores on fresh images, and drops by `judged`."""
    outcomes = list(problem.outcomes.values())
    most = most_finals(len(outcomes), settings.all_goals)
    chosen: list[Outcome] = []
    networks: dict[int, IntegerNetwork] = {}
    scores: list[Score] = []
    steps = 0

    def measured(positions: list[int]) -> Iterator[tuple[Score, Score]]:
        nonlocal networks
        ids = {i: policy_id(outcomes[i].choices) for i in positions}
        known = {i: kept for i in positions if folder is not None and (kept := folder.final_scores(ids[i]))}
        made = finals([outcomes[i].choices for i in positions if i not in known])
        for i in positions:
            if i not in known:
                networks[len(chosen)], known[i] = next(made)
                if folder is not None:
                    folder.keep_final(ids[i], known[i])
            score, again = known[i]
            chosen.append(outcomes[i])
            scores.append(score)
            front = pareto(np.array([o.saved_pct for o in chosen]), np.array([of.drop for of in scores]))
            networks = {i: kept for i, kept in networks.items() if i in front}
            report(Progress("final", len(chosen), most))
            yield score, again

    def on_step(i: int, n: int) -> None:
        nonlocal steps
        steps = n
        report(Progress("rounding", len(chosen) * n + i, most * n))

    if problem.workers == 1:  # other processes cannot call back
        problem.bank.on_step = on_step
    with problem.finals(fresh, problem.evaluator) as finals:
        beside = finals_beside(problem, outcomes) if settings.agent in PLANNING else None
        judgement = judged(outcomes, settings.all_goals, settings.final_shares[0], measured, beside)
        drops = np.array(list(judgement.values()))
    problem.bank.on_step = None
    if steps:
        report(Progress("rounding", len(chosen) * steps, len(chosen) * steps))
    report(Progress("final", len(chosen), len(chosen)))
    front = pareto(np.array([o.saved_pct for o in chosen]), drops)
    return chosen, {i: networks.get(i) or problem.final(chosen[i].choices) for i in front}, scores, drops


def _entry(problem: Problem, outcome: Outcome, search: Score, likely: float, test: Score) -> FrontEntry:
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
        drop_search_error=search.drop_error,
        drop_likely=likely,
        drop_test=test.drop,
        drop_test_error=test.drop_error,
        images_test=test.images,
        policy=problem.policy(outcome.choices, search.drop),
    )


def _energy_saved_pct(problem: Problem, outcome: Outcome) -> float:
    return saved_pct(float(problem.costs(problem.space.uniform(8)).energy_uj[0]), outcome.energy_uj)


def _dense_figures(problem: Problem, bits: int, search: Evaluator, test: Evaluator) -> Figures:
    """The pretrained network's metrics beside its cost at dense ``bits``."""
    cost = problem.costs(problem.space.uniform(bits))
    return Figures(
        energy_uj=float(cost.energy_uj[0]),
        latency_ms=float(cost.latency_ms[0]),
        metric_search=search.dense.metric,
        metric_test=test.dense.metric,
    )


def _reference_figures(problem: Problem, search: Evaluator, test: Evaluator) -> Figures | None:
    """Those at 16 bits; None where the accelerator has no such width."""
    try:
        return _dense_figures(problem, REFERENCE_BITS, search, test)
    except HardwareError:
        return None


def fresh_search_images(data: DataSplits, settings: SearchSettings) -> ImageSet:
    """Search images that no candidate was scored on; all where fewer than 200 are left, whose noise is larger."""
    used = settings.problem.score_images
    if len(data.search) < used + _FEWEST_FRESH:
        return data.search
    return data.search.part(slice(used, None))


def evaluator_of(problem: Problem, card: NetworkCard, images: Images) -> Evaluator:
    """Scores on images that are normalised as the card says, by its metric."""
    return Evaluator(problem.network.graph, images, card)
