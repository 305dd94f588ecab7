import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit
from safetensors.torch import load_file, save_file
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from rlcompress.envs import ENV_ID, CompressionEnv, FlattenAction, Problem, ResidualAction, policy_id
from rlcompress.envs.observation import FIELDS, SIZE
from rlcompress.errors import RunError
from rlcompress.spec import GRANULARITIES
from tests.conftest import Digits


def _episode(env: CompressionEnv, seed: int) -> tuple[list[float], dict[str, object]]:
    """Rewards and last info of an episode of random actions."""
    env.reset(seed=seed)
    env.action_space.seed(seed)
    rewards, done, info = [], False, {}
    while not done:
        _, reward, done, _, info = env.step(env.action_space.sample())
        rewards.append(reward)
    return rewards, info


def test_gymnasium_finds_nothing_wrong(problem: Problem) -> None:
    check_env(CompressionEnv(problem), skip_render_check=True)


def test_steps_outside_an_episode_and_impossible_actions_are_named(problem: Problem) -> None:
    env = CompressionEnv(problem, planned=False)
    action = env.action_space.sample()
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(action)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="granularity must be a whole number from 0 to 2, got -1"):
        env.step({**action, "granularity": -1})
    with pytest.raises(InvalidAction, match=r"granularity must be a whole number from 0 to 2, got 1.9"):
        env.step({**action, "granularity": 1.9})
    with pytest.raises(InvalidAction, match=r"knobs must be three numbers, got \[0.0, nan, 0.0\]"):
        env.step({**action, "knobs": np.array([0.0, np.nan, 0.0])})
    _episode(env, seed=0)
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(action)


def test_made_by_name_from_json_able_arguments(digits: Digits, tmp_path: Path) -> None:
    save_file(digits.model.state_dict(), tmp_path / "digits.safetensors")
    env = gymnasium.make(
        "rlcompress/Compression-v0",
        network="digits_cnn",
        weights=str(tmp_path / "digits.safetensors"),
        data="digits",
        hardware="scalable_sparse_16x32",
        score_images=20,
        granularities=["none", "filter"],
        planned=False,
    )
    assert env.action_space["granularity"].n == 2
    observation, info = env.reset(seed=0)
    assert observation.shape == (SIZE,)
    assert info["goal"] == 1.0


def _own() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


def test_made_of_a_network_of_ones_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(_own().state_dict(), tmp_path / "own.safetensors")
    names = {"network": f"{__file__}:_own", "weights": str(tmp_path / "own.safetensors"), "data": "digits"}
    by_name = gymnasium.make(ENV_ID, **names, mean=[0.3], std=[0.4], score_images=20, planned=False)
    assert by_name.unwrapped.problem.hardware.name == "scalable_sparse_16x32"
    model = _own()
    model.load_state_dict(load_file(tmp_path / "own.safetensors"))
    images = torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(400) % 10
    given = Problem.given(model, (images, images), mean=[0.3], std=[0.4], score_images=20, hardware="npu_int8")
    by_object = gymnasium.make(ENV_ID, problem=given, planned=False)
    for env in (by_name, by_object):
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation)
    assert list(given.network.layers) == list(by_name.unwrapped.problem.network.layers)
    assert given.hardware.name == "npu_int8"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"penalty": float("nan")}, "penalty must be 0 or more, got nan"),
        ({"penalty": -1.0}, "penalty must be 0 or more, got -1.0"),
        ({"gamma": 1.5}, "gamma must be from 0 to 1, got 1.5"),
        ({"render_mode": "human"}, "render_mode 'human' is unknown: the environment draws nothing"),
        ({"max_drops": 2.0}, "'max_drops' is given beside a problem"),
        ({"problem": None}, "no network is given; give a problem, or network and data"),
        ({"problem": None, "network": "digits_cnn"}, "no data is given"),
        ({"problem": None, "network": "digits_cnn", "data": "digits", "score": 1}, "unknown setting 'score'; choose"),
    ],
)
def test_arguments_that_mean_nothing_are_named(problem: Problem, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        CompressionEnv(**{"problem": problem, **arguments})


def test_options_of_a_reset_that_mean_nothing_are_named(problem: Problem) -> None:
    with pytest.raises(RunError, match="unknown setting 'max_drops'; choose from max_drop"):
        CompressionEnv(problem).reset(options={"max_drops": 2.0})


def test_a_render_mode_of_none_is_taken(problem: Problem) -> None:
    assert gymnasium.make(ENV_ID, problem=problem, render_mode=None).render_mode is None


def test_an_environment_can_be_pickled(problem: Problem) -> None:
    env = CompressionEnv(problem, planned=False)
    again = pickle.loads(pickle.dumps(env))
    assert _episode(again, seed=4)[0] == _episode(env, seed=4)[0]


def test_an_episode_decides_every_layer_once_and_evaluates_once(problem: Problem) -> None:
    env = CompressionEnv(problem, planned=False)
    rewards, info = _episode(env, seed=3)
    assert len(rewards) == len(problem.space.layers)
    assert problem.evaluations == 1
    outcome = info["outcome"]
    assert policy_id(outcome.choices) in problem.outcomes
    assert outcome.energy_uj == pytest.approx(float(problem.costs(outcome.choices).energy_uj[0]))


def test_rewards_add_up_to_the_outcome_less_the_first_potential(problem: Problem) -> None:
    env = CompressionEnv(problem, planned=False, max_drop=0.5, penalty=2.0)
    env.reset(seed=0)
    first = env._episodes._potential[0]
    rewards, info = _episode(env, seed=0)
    outcome = info["outcome"]
    log_cost = np.log(1.0 - outcome.saved_pct / 100.0)
    expected = -log_cost - 2.0 * np.log1p(max(0.0, outcome.score.drop - 0.5)) - first
    assert sum(rewards) == pytest.approx(expected, rel=1e-6)
    assert info["reward_terms"]["cost"] == pytest.approx(-log_cost)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.9, 1.0])
def test_potentials_of_the_agents_discount_add_the_same_to_every_policy(problem: Problem, gamma: float) -> None:
    """The discounted return is that of the outcome less the first potential (Ng et al. 1999)."""
    env = CompressionEnv(problem.fresh(), planned=False, gamma=gamma)
    layers = len(problem.space.layers)
    for seed in range(3):
        env.reset(seed=seed)
        first = env._episodes._potential[0]
        rewards, info = _episode(env, seed)
        earned = info["reward_terms"]["cost"] + info["reward_terms"]["drop"]
        discounted = sum(gamma**k * reward for k, reward in enumerate(rewards))
        assert discounted == pytest.approx(gamma ** (layers - 1) * earned - first, abs=1e-9)


def test_the_planned_action_repeats_the_plan_at_no_cost(problem: Problem) -> None:
    env = CompressionEnv(problem)
    env.reset(seed=0)
    used = problem.evaluations
    assert used >= 1
    done = False
    while not done:
        _, _, done, _, info = env.step(env.choice(env.plan, env.layer))
    assert problem.evaluations == used
    assert policy_id(info["outcome"].choices) == policy_id(env.plan)


def test_executed_choices_respect_the_ties(problem: Problem) -> None:
    env = CompressionEnv(problem, planned=False)
    for seed in range(5):
        _, info = _episode(env, seed)
        choices = info["outcome"].choices
        assert policy_id(problem.space.snapped(choices)) == policy_id(choices)
        removed = np.where(choices.granularity[0] == GRANULARITIES.index("filter"), choices.keep_ratio[0], 1.0)
        coupled = np.array([spec.coupling is not None for spec in problem.space.layers])
        assert (removed == removed[problem.space.leader])[coupled].all()


def test_every_granularity_can_be_chosen_and_scored(digits: Digits) -> None:
    problem = digits.problem(granularities=GRANULARITIES)
    env = CompressionEnv(problem, planned=False)
    allowed = [problem.space.allowed(i) for i in range(len(problem.space.layers))]
    for code in range(1, len(GRANULARITIES)):
        env.reset(seed=0)
        executed, done = [], False
        while not done:
            action = {"granularity": code, "knobs": np.array([0.0, 1.0, 1.0], np.float32)}
            observation, _, done, _, info = env.step(action)
            executed.append(info["executed"]["granularity"])
            assert observation.shape == (SIZE,)
        assert all((g == code) == (GRANULARITIES[code] in names) for g, names in zip(executed, allowed, strict=True))
        assert code in executed
        assert np.isfinite(info["outcome"].score.drop)


def test_the_observation_says_what_is_offered(digits: Digits) -> None:
    problem = digits.problem(granularities=GRANULARITIES)
    start = sum(size for name, size in FIELDS[: [name for name, _ in FIELDS].index("offered")])
    observation, _ = CompressionEnv(problem, planned=False).reset(seed=0)
    stem = dict(zip(GRANULARITIES[1:], observation[start:], strict=False))  # one input
    assert [name for name, flag in stem.items() if flag] == ["element", "pattern", "filter"]


def test_the_goal_may_change_with_each_episode(problem: Problem) -> None:
    env = CompressionEnv(problem, planned=False)
    start = sum(size for name, size in FIELDS[: [name for name, _ in FIELDS].index("goal")])
    seen = [env.reset(seed=0, options={"max_drop": goal})[0][start] for goal in (0.5, 1.5)]
    assert seen == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize("goal", [-0.1, float("nan"), float("inf")])
def test_an_impossible_goal_is_refused(problem: Problem, goal: float) -> None:
    with pytest.raises(RunError, match="max_drop must be 0 or more"):
        CompressionEnv(problem, max_drop=goal)


def test_the_same_seed_gives_the_same_episode(digits: Digits) -> None:
    first, second = (_episode(CompressionEnv(digits.problem(), planned=False), seed=11) for _ in range(2))
    assert first[0] == second[0]


@pytest.mark.parametrize("wrapper", [FlattenAction, ResidualAction])
def test_executed_flat_actions_repeat_themselves(problem: Problem, wrapper: type[FlattenAction]) -> None:
    """Acting with what was reported as executed executes the same policy."""
    env = wrapper(CompressionEnv(problem))
    env.reset(seed=0)
    generator = np.random.default_rng(0)
    actions, done = [], False
    while not done:
        _, _, done, _, info = env.step(generator.uniform(-1, 1, 4).astype(np.float32))
        actions.append(info["executed_action"])
        assert env.action_space.contains(info["executed_action"])
    first = policy_id(info["outcome"].choices)
    env.reset(seed=0)
    for action in actions:
        _, _, _, _, info = env.step(action)
    assert policy_id(info["outcome"].choices) == first


@pytest.mark.parametrize("wrapper", [FlattenAction, ResidualAction])
def test_flat_actions_outside_an_episode_or_out_of_shape_are_named(
    problem: Problem, wrapper: type[FlattenAction]
) -> None:
    env = wrapper(CompressionEnv(problem, planned=False))
    middle, done = np.zeros(4, np.float32), False
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(middle)
    env.reset(seed=0)
    for wrong in (np.full(4, np.nan), np.array([np.inf, 0, 0, 0]), np.zeros(3), np.zeros((1, 4))):
        with pytest.raises(InvalidAction, match="an action is 4 numbers, got"):
            env.step(wrong.astype(np.float32))
    while not done:
        done = env.step(middle)[2]
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(middle)


def test_no_residual_is_the_plan(problem: Problem) -> None:
    env = ResidualAction(CompressionEnv(problem))
    env.reset(seed=0)
    done = False
    while not done:
        _, _, done, _, info = env.step(np.array([-1.0, 0.0, 0.0, 0.0], np.float32))
    assert policy_id(info["outcome"].choices) == policy_id(env.unwrapped.plan)


@pytest.mark.parametrize("wrapper", [FlattenAction, ResidualAction])
def test_wrappers_below_see_every_step(problem: Problem, wrapper: type[FlattenAction]) -> None:
    env = wrapper(TimeLimit(CompressionEnv(problem, planned=False), 2))
    env.reset(seed=0)
    assert [env.step(env.action_space.sample())[3] for _ in range(2)] == [False, True]


@pytest.mark.parametrize("wrapper", [FlattenAction, ResidualAction])
def test_a_wrapped_environment_can_be_made_again(digits: Digits, tmp_path: Path, wrapper: type[FlattenAction]) -> None:
    save_file(digits.model.state_dict(), tmp_path / "digits.safetensors")
    names = {"network": "digits_cnn", "weights": str(tmp_path / "digits.safetensors"), "data": "digits"}
    env = wrapper(gymnasium.make(ENV_ID, **names, hardware="npu_int8", score_images=20, planned=False))
    assert env.spec is not None
    assert isinstance(env.spec.make(), wrapper)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [SAC, TD3, PPO])
def test_stock_algorithms_run_on_the_flattened_action(problem: Problem, algorithm: type[BaseAlgorithm]) -> None:
    env = FlattenAction(CompressionEnv(problem, planned=False))
    options = {"n_steps": 16, "batch_size": 16} if algorithm is PPO else {"learning_starts": 8, "batch_size": 8}
    agent = algorithm("MlpPolicy", env, seed=0, device="cpu", **options)
    agent.learn(4 * len(problem.space.layers))
    assert problem.evaluations >= 2
    action, _ = agent.predict(env.reset(seed=0)[0], deterministic=True)
    assert env.action_space.contains(action)


def test_a_point_is_the_metrics(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    def drop_term(point: float) -> float:
        metric = replace(problem.evaluator.metric, point=point)
        monkeypatch.setattr(problem.evaluator, "metric", metric)
        env = CompressionEnv(problem, max_drop=0.0, planned=False, shaping=False)
        env.reset(seed=0)
        for _ in problem.space.layers:
            _, _, _, _, info = env.step({"granularity": 0, "knobs": np.array([0.0, -0.9, -0.9])})
        assert info["reward_terms"]["drop"] == -np.log1p(info["outcome"].score.drop / point)
        return float(info["reward_terms"]["drop"])

    assert drop_term(0.02) < drop_term(1.0) < 0.0


def test_what_a_plan_prunes_is_offered_by_the_first_criterion(problem: Problem) -> None:
    plan = problem.planner.path[-1]
    assert (plan.granularity > 0).any()
    pruners = [("element", "l2"), ("none", "default"), ("filter", "l1"), ("element", "l1")]
    env = CompressionEnv(problem, pruners=pruners)
    offered = [env.granularities[env.choice(plan, i)["granularity"]] for i in range(len(problem.space.layers))]
    named = [GRANULARITIES[code] for code in plan.granularity[0]]
    first = {"none": "none by default", "element": "element by l2", "filter": "filter by l1"}
    assert offered == [first[name] for name in named]
    with pytest.raises(RunError, match=r"pruners lack none, .*; add \('none', 'default'\)"):
        CompressionEnv(problem, pruners=pruners[:1])
