import json
import warnings
from dataclasses import replace
from pathlib import Path

import torch

from rlcompress import hw_models
from rlcompress.data import ImageSet
from rlcompress.envs import Problem
from rlcompress.errors import RlcompressWarning
from rlcompress.network.trace import trace
from rlcompress.searches.doubts import warn_of_doubts
from tests.conftest import Digits


def _doubts(problem: Problem, digits: Digits, out: Path | None = None) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_doubts(problem, digits.splits, out)
    assert all(issubclass(one.category, RlcompressWarning) for one in caught)
    return [str(one.message) for one in caught]


def test_nothing_is_said_of_a_trained_network(problem: Problem, digits: Digits, tmp_path: Path) -> None:
    assert _doubts(problem, digits) == []
    assert _doubts(problem, digits, tmp_path / "run") == []


def test_an_untrained_network_is_doubted(problem: Problem, digits: Digits) -> None:
    evaluator = problem.evaluator
    shuffled = digits.splits.search.labels[torch.randperm(200, generator=torch.Generator().manual_seed(0))]
    images = replace(digits.splits.search.part(torch.arange(200)), targets=shuffled)
    guessing = replace(problem, evaluator=type(evaluator)(digits.network.graph, images, digits.card))
    assert "hardly more than chance among 10 classes" in _doubts(guessing, digits)[0]


def test_remembered_images_are_doubted(problem: Problem, digits: Digits) -> None:
    images = digits.splits.search.images
    with torch.no_grad():
        named = digits.network.graph(digits.splits.search.normalized(slice(None), digits.card.mean, digits.card.std))
    known = ImageSet(images, named.argmax(1))
    many = known.part(torch.arange(1000) % len(known))
    evaluator = type(problem.evaluator)
    all_right = replace(problem, evaluator=evaluator(digits.network.graph, many, digits.card))
    assert "names 100.0 % of the search images right, so it remembers them" in _doubts(all_right, digits)[0]
    few = replace(problem, evaluator=evaluator(digits.network.graph, many.part(slice(0, 999)), digits.card))
    assert _doubts(few, digits) == []


def test_weights_on_a_grid_are_doubted(problem: Problem, digits: Digits) -> None:
    model = trace(digits.model, torch.zeros(1, 1, 8, 8), name="digits_cnn")
    weight = model.layer("conv3").weight
    weight.data = (weight.data * 20).round() / 20
    (doubt,) = _doubts(replace(problem, network=model), digits)
    assert doubt.startswith("the weights of 'conv3' take at most 256 values, so they are quantized already")


def test_few_calibration_images_are_doubted(problem: Problem, digits: Digits) -> None:
    few = replace(digits, splits=replace(digits.splits, calibration=digits.splits.calibration.part(slice(0, 5))))
    assert "repair has 5 calibration images to go by" in _doubts(problem, few)[0]
    assert _doubts(replace(problem, settings=replace(problem.settings, repair="t0")), few) == []
    maps = replace(few.splits.calibration, targets=few.splits.calibration.images.float())
    assert _doubts(problem, replace(few, splits=replace(few.splits, calibration=maps))) == []


def test_what_an_accelerator_does_not_reward_is_told(problem: Problem, digits: Digits) -> None:
    least = replace(problem.settings, min_bits=8, target="latency")
    told = _doubts(replace(problem, hardware=hw_models.load("npu_int8")), digits)
    assert [line.split(":")[0] for line in told] == [
        "npu_int8 computes with weights of 8 bits and more",
        "npu_int8 computes with activations of 8 bits and more",
        "npu_int8 saves no energy by 'element' pruning",
    ]
    assert told[0].endswith("fewer saves storage, traffic, energy of multipliers, but no cycles")
    (element,) = _doubts(replace(problem, hardware=hw_models.load("systolic_os"), settings=least), digits)
    assert element == "systolic_os saves no latency by 'element' pruning: leave it out of --granularities"


def test_what_a_table_has_not_measured_is_told(problem: Problem, digits: Digits, tmp_path: Path) -> None:
    rows = [f"{spec.name},{w},8,{keep},1,1\n" for spec in problem.space.layers for w in (4, 8) for keep in (0.5, 1)]
    (tmp_path / "board.csv").write_text(
        "layer,weight_bits,activation_bits,keep_ratio,latency_ms,energy_uj\n" + "".join(rows)
    )
    assert _doubts(replace(problem, hardware=hw_models.load(tmp_path / "board.csv")), digits) == [
        "board was measured with weights of 4 bits and more: fewer saves nothing",
        "board was measured with activations of 8 bits and more: fewer saves nothing",
        "board has no rows for 'element' pruning, which saves nothing: leave it out, or measure it",
        "board was measured with 'filter' keep ratios of 0.5 and more: less saves nothing",
    ]


def test_a_second_look_at_the_test_images_is_told(problem: Problem, digits: Digits, tmp_path: Path) -> None:
    for name, data in (("other", "cifar10:DIR"), ("before", "digits"), ("damaged", "digits")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text("{}")
        (tmp_path / name / "run.json").write_text(json.dumps({"settings": {"network": "digits_cnn", "data": data}}))
    (tmp_path / "damaged" / "run.json").write_text("{")
    (doubt,) = _doubts(problem, digits, tmp_path / "now")
    assert "looked at by run 'before' already" in doubt
    assert _doubts(problem, digits, tmp_path / "before") == []
