import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rlcompress import hw_models
from rlcompress.data import ImageSet
from rlcompress.envs import BudgetSpent, Outcome, Problem, ProblemSettings, policy_id
from rlcompress.errors import HardwareError, RunError, WorkerError
from rlcompress.evaluation import Score
from rlcompress.network.thinning import thinned
from rlcompress.network.trace import trace
from rlcompress.planning.batches import same
from rlcompress.spec import GRANULARITIES
from tests.conftest import Digits


def test_a_policy_is_scored_once(problem: Problem) -> None:
    seen: list[Outcome] = []
    problem.on_outcome = seen.append
    policy = problem.space.snapped(problem.space.uniform(6))
    first, second = problem.evaluate(policy, "a"), problem.evaluate(policy, "b")
    assert first is second
    assert [outcome.source for outcome in seen] == ["a"]


def test_savings_are_against_dense_eight_bits(problem: Problem) -> None:
    assert problem.log_cost(problem.space.uniform(8)) == pytest.approx([0.0])
    policy = problem.space.snapped(problem.space.uniform(4))
    energies = [float(problem.costs(p).energy_uj[0]) for p in (policy, problem.space.uniform(8))]
    assert problem.evaluate(policy, "test").saved_pct == pytest.approx(100 * (1 - energies[0] / energies[1]))


def test_what_workers_cannot_be_handed_is_refused_first(digits: Digits) -> None:
    card = replace(digits.card, metric=lambda outputs, labels: outputs[:, 0])
    begun: list[str] = []
    with pytest.raises(WorkerError, match=r"cannot be handed to workers: .*lambda"):
        Problem.of(
            digits.network, card, digits.splits, hw_models.load("npu_int8"),
            on_progress=lambda phase, done, of: begun.append(phase), workers=2,
        )  # fmt: skip
    assert begun == []


def test_channels_are_rounded_as_asked_or_as_the_accelerator_asks(digits: Digits) -> None:
    description = hw_models.load("scalable_sparse_16x32").description
    wide, known = hw_models.HardwareModel(description.model_copy(update={"round_to": 8})), digits.problem()
    for asked, round_to in ((None, 8), (4, 4)):
        settings = ProblemSettings(score_images=20, round_to=asked)
        problem = Problem.of(digits.network, digits.card, digits.splits, wide, settings, measured=known.sensitivity)
        batch = problem.space.uniform(4)
        batch.granularity[:], batch.keep_ratio[:] = GRANULARITIES.index("filter"), 0.35
        policy = problem.space.snapped(batch)
        small = thinned(problem.bank.stitch(problem.choices(policy)), torch.zeros(1, 1, 8, 8), round_to)
        rows, columns = problem.network.structure.kept_channels(policy)
        for i, name in zip(problem.network.structure.layer_index, problem.network.layers, strict=True):
            assert small.get_submodule(name).weight.shape[:2] == (rows[0, i], columns[0, i])
            assert name == "linear" or rows[0, i] in {8: (8, 24), 4: (4, 8, 12, 24)}[round_to]
        assert problem.costs(policy).energy_uj[0] < known.costs(known.space.uniform(8)).energy_uj[0]


@pytest.mark.slow
def test_a_cache_changes_nothing_but_the_time(digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_arguments: object) -> None:
        raise AssertionError("measured again")

    plain, settings = digits.problem(), ProblemSettings(score_images=200, cache=str(tmp_path))
    for _ in range(2):
        kept = Problem.of(digits.network, digits.card, digits.splits, plain.hardware, settings)
        assert kept.sensitivity == plain.sensitivity
        policy = plain.space.snapped(plain.space.uniform(3))
        assert kept.evaluate(policy, "test").score == plain.evaluate(policy, "test").score
        monkeypatch.setattr("rlcompress.envs.problem.measure_sensitivity", never)


def test_a_network_whose_outputs_are_constant_is_refused(digits: Digits) -> None:
    model = copy.deepcopy(digits.model)
    model.linear.weight.data.zero_()
    model.linear.bias.data.zero_()
    network = trace(model, torch.zeros(1, 1, 8, 8), name="digits_cnn")
    with pytest.raises(RunError, match=r"gives the same outputs for every image, .*; check its weights"):
        Problem.of(network, digits.card, digits.splits, hw_models.load("npu_int8"), ProblemSettings(score_images=20))


def test_the_budget_ends_new_evaluations_only(problem: Problem) -> None:
    problem.budget = 1
    known, new = (problem.space.snapped(problem.space.uniform(bits)) for bits in (7, 6))
    problem.evaluate(known, "test")
    problem.evaluate(known, "test")
    with pytest.raises(BudgetSpent):
        problem.evaluate(new, "test")


def test_many_policies_are_scored_as_one_after_the_other(problem: Problem, digits: Digits) -> None:
    policies = [problem.space.snapped(problem.space.uniform(bits)) for bits in (7, 5, 7, 4)]
    seen: list[Outcome] = []
    problem.on_outcome = seen.append
    outcomes = problem.evaluate_many(policies, "batch")
    assert [outcome.number for outcome in outcomes] == [1, 2, 1, 3]
    assert seen == [outcomes[0], outcomes[1], outcomes[3]]
    other = digits.problem()
    assert [other.evaluate(policy, "batch").score for policy in policies] == [outcome.score for outcome in outcomes]


def test_the_best_of_many_policies(problem: Problem) -> None:
    bits = (2, 7, 3, 5, 8, 4)
    policies = [problem.space.snapped(problem.space.uniform(b)) for b in bits]
    found = problem.best_of(policies, keep=2, images_each=40)
    scores = [problem.evaluate(policy, "test").score for policy in policies]
    assert {bits[number] for number in found.numbers} == {7, 8}
    assert found.images_scored <= 40 * len(policies)
    assert problem.best_of(policies, keep=2, images_each=40) == found
    assert all(score.images > 40 for score in found.scores)

    whole = problem.best_of(policies, keep=6, images_each=200)
    assert [whole.scores[whole.numbers.index(i)] for i in range(6)] == scores
    assert whole.images_scored == 6 * 200


def test_a_batch_uses_the_budget_up(problem: Problem) -> None:
    problem.budget = 2
    policies = [problem.space.snapped(problem.space.uniform(bits)) for bits in (7, 6, 7, 5)]
    with pytest.raises(BudgetSpent):
        problem.evaluate_many(policies, "batch")
    assert list(problem.outcomes) == [policy_id(policy) for policy in policies[:2]]
    assert len(problem.evaluate_many(policies[:3], "batch")) == 3


def test_a_batch_ends_at_the_deadline(problem: Problem) -> None:
    policies = [problem.space.snapped(problem.space.uniform(bits)) for bits in (7, 6)]

    def on_outcome(outcome: Outcome) -> None:
        problem.deadline = 0.0

    problem.on_outcome = on_outcome
    with pytest.raises(BudgetSpent):
        problem.evaluate_many(policies, "batch")
    assert problem.evaluations == 1


def test_known_policies_do_not_outlast_the_deadline(problem: Problem) -> None:
    policy = problem.space.snapped(problem.space.uniform(7))
    problem.deadline = 0.0
    problem.evaluate(policy, "first")  # one is granted in any case
    with pytest.raises(BudgetSpent):
        problem.evaluate(policy, "again")


def test_the_only_plan_is_measured(problem: Problem) -> None:
    problem.planner.__dict__["path"] = problem.planner.path[:1]
    assert not problem.outcomes
    assert policy_id(problem.plan(1.0)) in problem.outcomes


def test_where_nothing_is_allowed_the_most_careful_plan_is_measured(problem: Problem) -> None:
    careful = problem.plan(-1.0)
    assert same(careful, problem.planner.path[0])
    assert policy_id(careful) in problem.outcomes


def test_a_target_that_costs_nothing_is_refused(digits: Digits, tmp_path: Path) -> None:
    rows = [f"{spec.name},8,8,1,1,0\n" for spec in digits.network.specs if spec.compressible]
    header = "layer,weight_bits,activation_bits,keep_ratio,latency_ms,energy_uj\n"
    (tmp_path / "board.csv").write_text(header + "".join(rows))
    with pytest.raises(HardwareError, match="board gives digits_cnn no energy at all, so that none can be saved; meas"):
        Problem.of(digits.network, digits.card, digits.splits, hw_models.load(tmp_path / "board.csv"))


def test_recorded_scores_replace_evaluations(problem: Problem) -> None:
    policy = problem.space.snapped(problem.space.uniform(5))
    problem.recorded = {policy_id(policy): Score(12.5, 1.25, 0.1, 90.0, 0.5, 8)}
    assert problem.evaluate(policy, "test").score.metric == 12.5


def test_the_plan_keeps_the_measured_drop_within_the_goal(problem: Problem) -> None:
    plan = problem.plan(1.0)
    outcome = problem.outcomes[policy_id(plan)]
    assert outcome.score.drop <= 1.0
    bolder = [o for o in problem.outcomes.values() if o.saved_pct > outcome.saved_pct]
    assert all(o.score.drop > 1.0 for o in bolder)


def test_predicted_drops_follow_the_evaluations(problem: Problem) -> None:
    policy = problem.space.snapped(problem.space.uniform(4))
    error = 2.0 * problem.evaluator.error_scale * float(problem.planner.error(policy)[0])
    problem.recorded = {policy_id(policy): Score(90.0, 3.0, 0.1, 90.0, error, 200)}
    before = abs(float(problem.predicted_drop(policy)[0]) - 3.0)
    problem.evaluate(policy, "test")
    assert abs(float(problem.predicted_drop(policy)[0]) - 3.0) < before / 2
    assert problem.fresh().predicted_drop(policy)[0] != problem.predicted_drop(policy)[0]


def test_predicted_drops_of_dense_policies_are_near_zero_once_measured(problem: Problem) -> None:
    dense, coarse = (problem.space.snapped(problem.space.uniform(bits)) for bits in (8, 3))
    assert problem.predicted_drop(dense)[0] < problem.predicted_drop(coarse)[0]
    problem.evaluate(dense, "test")
    assert problem.predicted_drop(dense)[0] < 0.5


def test_unknown_targets_are_refused() -> None:
    with pytest.raises(RunError, match="unknown target 'speed'"):
        ProblemSettings(target="speed")


def test_the_tier_without_data_looks_at_no_calibration_images(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlcompress.compensation.synthesis._STEPS", 2)
    dark = ImageSet(torch.zeros_like(digits.splits.calibration.images), digits.splits.calibration.labels)
    hardware = hw_models.load("scalable_sparse_16x32")
    settings = ProblemSettings(score_images=50, granularities=("none",), repair="t0")
    tables = [
        Problem.of(digits.network, digits.card, replace(digits.splits, calibration=images), hardware, settings)
        for images in (dark, digits.splits.calibration)
    ]
    assert tables[0].sensitivity == tables[1].sensitivity


def test_sensitivities_are_measured_on_images_that_no_weight_was_fitted_to(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, seen = digits.problem(), []

    def measured(_bank: object, _space: object, images: torch.Tensor, *_rest: object, **_more: object) -> object:
        seen.append(images)
        return known.sensitivity

    monkeypatch.setattr("rlcompress.envs.problem.measure_sensitivity", measured)
    few, search = digits.splits.calibration, digits.splits.search
    many = search.part(torch.arange(512 + 128) % len(search))
    for calibration in (few, many):
        splits = replace(digits.splits, calibration=calibration)
        Problem.of(digits.network, digits.card, splits, known.hardware)
    assert len(few) < len(many)
    for images, wanted in zip(seen, (search, many), strict=True):
        last = wanted.normalized(slice(len(wanted) - 128, None), digits.card.mean, digits.card.std)
        assert torch.equal(images, last)


def test_unknown_correction(digits):
    with pytest.raises(RunError, match=r"^unknown correction 'none'; choose from paired, local$"):
        digits.problem(correction="none")


def test_engines_give_the_same_scores(digits):
    problems = [digits.problem(engine=engine) for engine in ("portable", "auto")]
    policy = problems[0].space.uniform(4)
    assert len({problem.evaluate(policy, "test").score for problem in problems}) == 1


def test_nothing_to_choose_is_said(digits: Digits) -> None:
    with pytest.raises(RunError, match="nothing may be chosen: no pruning, and 8 bits everywhere"):
        digits.problem(granularities=("none",), min_bits=8)
