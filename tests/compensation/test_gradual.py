import pytest
import torch

from rlcompress.compensation import by_stage, refit, stages
from rlcompress.pruning import CRITERIA, LayerStatistics, element_mask
from tests.compensation.problems import output_error, random_layer

RATIOS = (0.9, 0.75, 0.6, 0.45, 0.3)


def masked(importance, keep_ratio):
    return element_mask(importance.flatten(0, 1)[:, :, None], keep_ratio).view_as(importance)


def counted(weight, hessian, criterion="obs", ratios=RATIOS):
    layer = LayerStatistics(weight, hessian, weight.shape[2])
    return stages(layer, CRITERIA[criterion], masked, ratios)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("criterion", ["obs", "l1", "reconstruction", "bernoulli"])
def test_every_stage_keeps_its_share_of_what_the_one_before_kept(criterion, groups):
    weight, _, hessian = random_layer(3, groups)
    count = counted(weight, hessian, criterion)
    kept = [int((count > i).sum()) for i in range(len(RATIOS))]
    assert kept == [round(ratio * count.numel()) for ratio in RATIOS]
    assert count.dtype == torch.uint8


def test_by_hand():
    """Of two equal inputs the first that goes makes the other worth both: without refits 1 and 1.5 would go."""
    weight, hessian = torch.tensor([[[1.0, 1.5, 2.0]]]), torch.block_diag(torch.ones(2, 2), torch.ones(1, 1))[None]
    layer = LayerStatistics(weight, hessian, 3)
    count = stages(layer, lambda of: of.weight.abs(), masked, (2 / 3, 1 / 3))
    assert count.flatten().tolist() == [0, 2, 1]


def test_the_error_is_far_below_that_of_weights_that_go_at_once():
    ratios = []
    for seed in range(10):
        weight, _, hessian = random_layer(seed)
        at_once = masked(CRITERIA["obs"](LayerStatistics(weight, hessian, weight.shape[2])), RATIOS[-1])
        masks = at_once, counted(weight, hessian) == len(RATIOS)
        assert masks[0].sum() == masks[1].sum()
        first, second = (output_error(refit(weight, mask, hessian) - weight, hessian) for mask in masks)
        ratios.append(float(second / first))
    assert sum(ratios) / len(ratios) < 0.85


def test_within_a_stage_another_importance_decides():
    count = torch.tensor([[[2, 0, 1, 1, 0]]], dtype=torch.uint8)
    importance = torch.tensor([[[0.0, 5e4, 1e-6, 3e-6, 5e4]]])
    ordered = by_stage(count, importance)
    assert ordered.flatten().argsort(descending=True, stable=True).tolist() == [0, 3, 2, 1, 4]
    assert torch.equal(ordered.floor(), count.double())
    assert torch.equal(by_stage(count, torch.zeros(1, 1, 5)), count.double())
