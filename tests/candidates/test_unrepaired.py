import pytest
import torch

from rlcompress.candidates import Candidates
from rlcompress.network.trace import trace
from rlcompress.pruning import CRITERIA as FUNCTIONS
from rlcompress.pruning import NEED_GRADIENTS, element_mask
from rlcompress.spec import CRITERIA, LayerChoice
from tests.small_networks import OptionAResNet, images

SHAPE = (3, 8, 8)
X = images(24, *SHAPE)


@pytest.fixture(scope="module")
def banks() -> dict[str, Candidates]:
    network = trace(OptionAResNet(), torch.zeros(1, *SHAPE))
    return {repair: Candidates(network, X, repair=repair) for repair in ("none", "t1")}


def test_weights_that_stay_keep_their_values(banks: dict[str, Candidates]) -> None:
    bank = banks["none"]
    dense = dict.fromkeys(bank.network.layers, LayerChoice())
    name = list(bank.network.layers)[1]
    choice = LayerChoice(granularity="element", keep_ratio=0.5, criterion="l1", weight_bits=8)
    codes, weight = bank.weights(name, {**dense, name: choice}), bank.network.layer(name).weight.detach()
    kept = element_mask(weight.abs().flatten(2), 0.5).view_as(weight)
    assert not codes.codes[~kept].any()
    step = codes.scale.view(-1, 1, 1, 1)
    inside = kept & (weight.abs() <= 127 * step)
    assert float(inside.sum()) > 0.9 * float(kept.sum())
    assert ((codes.dequantized() - weight).abs()[inside] <= (0.5001 * step).expand_as(weight)[inside]).all()


def test_repair_brings_the_outputs_nearer(banks: dict[str, Candidates]) -> None:
    choice = LayerChoice(granularity="element", keep_ratio=0.5, weight_bits=4, activation_bits=6)
    errors = {}
    for repair, bank in banks.items():
        choices = dict.fromkeys(bank.network.layers, choice)
        with torch.no_grad():
            errors[repair] = float((bank.stitch(choices)(X) - bank.network.graph(X)).square().mean())
    assert errors["t1"] < errors["none"]


def test_a_choice_names_the_criterion_by_which_channels_go(banks: dict[str, Candidates]) -> None:
    bank = banks["none"]
    group, leader = next((g, i) for g, i in bank.network.structure.leader.items() if i is not None)
    removed = {}
    for criterion in CRITERIA:
        choices = dict.fromkeys(bank.network.layers, LayerChoice())
        members = [name for name, spec in bank.network.layers.items() if spec.coupling == group]
        assert members[0] == bank.network.structure.layers[leader]
        filters = LayerChoice(granularity="filter", keep_ratio=0.5, criterion=criterion)
        removed[criterion] = bank.removed_classes(choices | dict.fromkeys(members, filters))
    assert removed["default"] == removed["obs"]
    assert len(set(removed.values())) > 1
    assert len({len(classes) for classes in removed.values()}) == 1


def test_criteria_of_policies_are_those_that_need_no_gradients() -> None:
    assert set(CRITERIA[1:]) == set(FUNCTIONS) - set(NEED_GRADIENTS)
