"""`compare`: several methods and seeds on one problem, with equal evaluations."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from rlcompress.data import DataSplits
from rlcompress.envs import Outcome, Problem, ProblemSettings, policy_id
from rlcompress.errors import RunError
from rlcompress.evaluation import Score, likely_drops, metric_of
from rlcompress.files import LimitError, parse_json, read_text, write_atomic
from rlcompress.hw_models import HardwareModel
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import TracedNetwork
from rlcompress.searches.beside import finals_beside
from rlcompress.searches.finals import judged
from rlcompress.searches.folder import hold, lock_of
from rlcompress.searches.methods import PLANNING, check_agent_settings, check_method, propose
from rlcompress.searches.run import OnProgress, Progress, evaluator_of, fresh_search_images
from rlcompress.searches.score_store import ScoreStore
from rlcompress.searches.selection import best_within, pareto
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch
from rlcompress.threads import one_thread

WORST_DROP = 5.0
"""Points of drop at which the hypervolume's reference point lies, with nothing saved."""

_MAX_TRIAL_BYTES = 50_000_000
_TIMED_EVALUATIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """The cheapest policy within one allowed drop.

    Attributes:
        id: of the policy.
        energy_uj: an inference, in microjoules.
        saved_pct: percent of the target saved against dense 8 bits.
        drop_search: of its final network as `final_drops` judges it, in points.
        drop_test: on the test images.
    """

    id: str
    energy_uj: float
    saved_pct: float
    drop_search: float
    drop_test: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One method with one seed.

    Attributes:
        agent: name of the method.
        seed: of its search.
        evaluations: policies scored.
        seconds: wall-clock of the search alone; a score that another trial has measured counts as a measured one.
        hypervolume: share of the square from 0 to 100 % saved and from 0 to 5 points lost that its policies dominate.
        curve: after every evaluation, the most saved within the first allowed drop as measured, in percent.
        reached: allowed drop -> the cheapest policy within it, or None.
    """

    agent: str
    seed: int
    evaluations: int
    seconds: float
    hypervolume: float
    curve: list[float]
    reached: dict[str, Reached | None]


OnTrial = Callable[[Trial], None]


@one_thread()
def compare(
    network: TracedNetwork,
    card: NetworkCard,
    data: DataSplits,
    hardware: HardwareModel,
    settings: SearchSettings,
    agents: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    on_trial: OnTrial | None = None,
    on_progress: OnProgress | None = None,
) -> list[Trial]:
    """Search with every method and seed on one problem, whose bank, sensitivity table and scores they share.

    A method whose candidates are of another kind (``balaskas2023``) has a bank and scores of its own.

    Args:
        network: a traced, pretrained network.
        card: its normalisation.
        data: images, split by purpose.
        hardware: the accelerator.
        settings: of every search, but for method and seed.
        agents: names in `rlcompress.searches.methods.METHODS`.
        seeds: of each method.
        folder: holds finished trials and all scores; what it holds already is not done again.
        on_trial: called with every finished trial.
        on_progress: called after every step of a trial.

    Raises:
        RunError: another process writes to the folder, no method or seed is given, a method is unknown, evaluations are
            not limited, or an allowed drop allows everything.
        RlcompressError: images, network and hardware do not fit together.
    """
    check_comparison(card, settings, agents, seeds)
    report = on_progress or (lambda _progress: None)
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_of(folder)
    hold(lock)
    try:
        return _compared(network, card, data, hardware, settings, agents, seeds, folder, on_trial, report)
    finally:
        lock.release()


def check_comparison(card: NetworkCard, settings: SearchSettings, agents: Sequence[str], seeds: Sequence[int]) -> None:
    """See that methods can be compared.

    Raises:
        RunError: see `compare`.
    """
    if not agents or not seeds:
        raise RunError(f"no {'seeds' if agents else 'agents'} are given, so there is nothing to compare; name some")
    for agent in agents:
        check_method(agent)
        for seed in seeds:
            _settings_of(settings, agent, seed)
    if settings.evaluations is None:
        raise RunError("methods are compared at equal evaluations; give --evaluations, not --minutes")
    for name in ("agent_from", "agent_settings"):
        if getattr(settings, name) and settings.agent not in agents:
            raise RunError(f"{name} is for the agent {settings.agent!r}; compare it too, or leave {name} out")
    check_agent_settings(settings)
    metric_of(card.metric).check_allowed(settings.all_goals)


def _compared(
    network: TracedNetwork, card: NetworkCard, data: DataSplits, hardware: HardwareModel, settings: SearchSettings,
    agents: Sequence[str], seeds: Sequence[int], folder: Path, on_trial: OnTrial | None, report: OnProgress,
) -> list[Trial]:  # fmt: skip
    benches: dict[ProblemSettings, _Bench] = {}
    trials = []
    for agent, seed in ((agent, seed) for seed in seeds for agent in agents):
        path = folder / "trials" / f"{agent}-{seed}.json"
        if not path.exists():
            own = _settings_of(settings, agent, seed)
            if own.problem not in benches:
                place = folder if own.problem == settings.problem else folder / agent
                benches[own.problem] = _Bench(network, card, data, hardware, own, place, report)
            trial = benches[own.problem].trial(own, report)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(asdict(trial), indent=1) + "\n")
        trials.append(_read_trial(path))
        if on_trial is not None:
            on_trial(trials[-1])
    return trials


def _settings_of(settings: SearchSettings, agent: str, seed: int) -> SearchSettings:
    """Those of one trial; what is the agent's own is for the method that the settings name."""
    if agent == settings.agent:
        return replace(settings, seed=seed)
    return replace(settings, agent=agent, seed=seed, agent_from=None, agent_settings={})


class _Bench:
    """What the trials share."""

    def __init__(
        self,
        network: TracedNetwork,
        card: NetworkCard,
        data: DataSplits,
        hardware: HardwareModel,
        settings: SearchSettings,
        folder: Path,
        report: OnProgress,
    ) -> None:
        self._problem = Problem.of(
            network,
            card,
            data,
            hardware,
            settings.problem,
            lambda phase, i, n: report(Progress(phase, i, n)),
            workers=settings.workers,
        )
        self._fresh = evaluator_of(self._problem, card, fresh_search_images(data, settings))
        self._tested = evaluator_of(self._problem, card, data.test)
        folder.mkdir(parents=True, exist_ok=True)
        self._scores, self._finals, self._tests = (
            ScoreStore(folder / f"{name}.jsonl") for name in ("scores", "final_scores", "test_scores")
        )
        self._seconds = _seconds_an_evaluation(self._problem)

    def trial(self, settings: SearchSettings, report: OnProgress) -> Trial:
        """Search, choose finalists, and test the best policy of each allowed drop."""
        problem = self._problem.fresh(self._scores)
        problem.budget = settings.evaluations
        shared, best = 0, 0.0

        def on_outcome(outcome: Outcome) -> None:
            nonlocal shared, best
            key = policy_id(outcome.choices)
            shared += key in self._scores
            self._scores.add(key, [outcome.score])
            if outcome.score.drop <= settings.max_drop:
                best = max(best, outcome.saved_pct)
            report(Progress("search", outcome.number, settings.evaluations, best, outcome))

        problem.on_outcome = on_outcome
        torch.manual_seed(settings.seed)
        started = time.monotonic()
        propose(problem, settings, Watch())
        seconds = time.monotonic() - started + shared * self._seconds
        outcomes = list(problem.outcomes.values())
        return Trial(
            agent=settings.agent,
            seed=settings.seed,
            evaluations=problem.evaluations,
            seconds=round(seconds, 2),
            hypervolume=hypervolume(outcomes),
            curve=_curve(outcomes, settings.max_drop),
            reached=self._reached(problem, outcomes, settings),
        )

    def _reached(
        self, problem: Problem, outcomes: list[Outcome], settings: SearchSettings
    ) -> dict[str, Reached | None]:
        goals = settings.all_goals
        found = judged(
            outcomes,
            goals,
            settings.final_shares[0],
            lambda positions: [self._final_scores(problem, outcomes[i]) for i in positions],
            finals_beside(problem, outcomes) if settings.agent in PLANNING else None,
        )
        chosen, drops = [outcomes[i] for i in found], np.array(list(found.values()))
        saved = np.array([outcome.saved_pct for outcome in chosen])
        best = {f"{goal:g}": best_within(saved, drops, goal) for goal in goals}
        return {
            goal: None if i is None else self._tested_policy(problem, chosen[i], float(drops[i]))
            for goal, i in best.items()
        }

    def _final_scores(self, problem: Problem, outcome: Outcome) -> tuple[Score, Score]:
        """What the policy's final network is judged by: scores on fresh images and on those of the candidates."""
        key = policy_id(outcome.choices)
        if key not in self._finals:
            network = problem.final(outcome.choices)
            self._finals.add(key, [problem.evaluator.score(network), self._fresh.score(network)])
        scored, fresh = self._finals.all(key)
        return fresh, scored

    def _tested_policy(self, problem: Problem, outcome: Outcome, drop: float) -> Reached:
        key = policy_id(outcome.choices)
        if key not in self._tests:
            self._tests.add(key, [self._tested.score(problem.final(outcome.choices))])
        return Reached(
            id=key,
            energy_uj=outcome.energy_uj,
            saved_pct=outcome.saved_pct,
            drop_search=drop,
            drop_test=self._tests[key].drop,
        )


def _seconds_an_evaluation(problem: Problem) -> float:
    """Mean wall-clock of scoring a policy that no one has scored."""
    path = problem.planner.path
    clock = problem.fresh()
    started = time.monotonic()
    for i in np.linspace(0, len(path) - 1, _TIMED_EVALUATIONS).astype(int):
        clock.evaluate(path[i], "clock")
    return (time.monotonic() - started) / clock.evaluations


def hypervolume(outcomes: Sequence[Outcome]) -> float:
    """Area of (percent saved, points of drop below 5) that policies dominate, as a share of the whole."""
    drops = np.clip(likely_drops([outcome.score for outcome in outcomes]), 0.0, WORST_DROP)
    saved = np.clip([outcome.saved_pct for outcome in outcomes], 0.0, 100.0)
    front = pareto(saved, drops)
    area, ceiling = 0.0, WORST_DROP
    for i in front:
        area += saved[i] * max(0.0, ceiling - drops[i])
        ceiling = min(ceiling, drops[i])
    return float(area / (100.0 * WORST_DROP))


def _curve(outcomes: Sequence[Outcome], max_drop: float) -> list[float]:
    saved = [outcome.saved_pct if outcome.score.drop <= max_drop else 0.0 for outcome in outcomes]
    return [float(value) for value in np.maximum.accumulate([0.0, *saved])[1:]]


def _read_trial(path: Path) -> Trial:
    try:
        return TypeAdapter(Trial).validate_python(parse_json(read_text(path, _MAX_TRIAL_BYTES)))
    except (OSError, LimitError, ValidationError):
        raise RunError(f"{path} is damaged; remove it and run the comparison again") from None
