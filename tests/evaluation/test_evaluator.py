import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from rlcompress.data import ImageSet, MixedSizes
from rlcompress.errors import DataError
from rlcompress.evaluation import Evaluator
from rlcompress.network.cards import NetworkCard

LABELS = torch.tensor([0, 1, 2, 0, 1])
DENSE = torch.eye(3)[[0, 1, 2, 0, 0]]  # right: 1 1 1 1 0
OTHER = torch.eye(3)[[0, 2, 2, 1, 1]]  # right: 1 0 1 0 1


CARD = NetworkCard(
    name="toy",
    factory="",
    input_shape=(1, 1, 1),
    mean=(0.0,),
    std=(1 / 255,),
    classes=3,
    description="",
    source="",
)


def table(logits):
    """A network whose images hold the numbers of its outputs' rows."""
    return lambda x: logits[x[:, 0, 0, 0].long()]


def numbered(targets):
    """Images [1, 1, 1] that are their numbers."""
    return ImageSet(torch.arange(len(targets), dtype=torch.uint8).view(-1, 1, 1, 1), targets)


def evaluator(dense, targets, metric="top1"):
    return Evaluator(table(dense), numbered(targets), replace(CARD, metric=metric))


def test_score_by_hand():
    score = evaluator(DENSE, LABELS).score(table(OTHER))
    assert score.metric == pytest.approx(60.0)
    assert score.metric_error == pytest.approx(100 * (0.6 * 0.4 / 5) ** 0.5)
    assert score.drop == pytest.approx(20.0)  # lost 0 1 0 1 -1: mean 0.2, variance 0.6 - 0.04
    assert score.drop_error == pytest.approx(100 * (0.56 / 5) ** 0.5)
    assert score.agreement == pytest.approx(40.0)
    assert score.agreement_error == pytest.approx(100 * (0.4 * 0.6 / 5) ** 0.5)
    assert score.logit_mse == pytest.approx(3 * 2 / 15)
    assert score.logit_mse_error == pytest.approx((0.4 * 0.6 / 5) ** 0.5 * 2 / 3)
    kl = (math.e - 1) / (math.e + 2)  # of one-hot logits to those of another class: p1 - p2
    assert score.kl == pytest.approx(0.6 * kl, rel=1e-5)
    assert score.kl_error == pytest.approx(kl * (0.4 * 0.6 / 5) ** 0.5, rel=1e-5)
    assert score.images == 5


def test_the_drop_to_be_expected():
    """Outputs of three classes, of which the dense network may be as sure as it is right, on 3,000 images."""
    generator = torch.Generator().manual_seed(0)
    sure = torch.randn(3000, 3, generator=generator)
    labels = torch.multinomial(sure.softmax(1), 1, generator=generator)[:, 0]
    other = sure + 0.5 * torch.randn(3000, 3, generator=generator)
    images = ImageSet(torch.zeros(3000, 1, 1, 1, dtype=torch.uint8), labels)

    def giving(logits):
        rows = iter(logits)
        return lambda x: torch.stack([next(rows) for _ in x])

    one, five = (
        Evaluator(giving(4 * sure), images, replace(CARD, metric=metric)).score(giving(other))  # four times too sure
        for metric in ("top1", "top5")
    )
    assert one.expected_drop == pytest.approx(one.drop, abs=3 * one.drop_error)
    assert 0.0 < one.expected_drop_error < one.drop_error / 1.5
    assert five.expected_drop == pytest.approx(0.0, abs=1e-6)  # of three classes


def test_without_classes_nothing_is_to_be_expected():
    assert evaluator(DENSE, LABELS, "agreement").score(table(OTHER)).expected_drop is None
    assert evaluator(DENSE, DENSE, "psnr").score(table(OTHER)).expected_drop is None


def test_the_dense_network_loses_nothing():
    own = evaluator(DENSE, LABELS)
    assert own.dense == own.score(table(DENSE))
    assert (own.dense.metric, own.dense.drop, own.dense.drop_error) == (pytest.approx(80.0), 0.0, 0.0)
    assert (own.dense.agreement, own.dense.logit_mse, own.dense.kl) == (100.0, 0.0, 0.0)
    assert own.error_scale == pytest.approx(float(DENSE.var()))


def test_a_better_network_has_a_negative_drop():
    assert evaluator(OTHER, LABELS).score(table(DENSE)).drop == pytest.approx(-20.0)


def test_more_images_than_a_batch():
    labels = torch.arange(150) % 3
    wrong = torch.eye(3)[torch.where(torch.arange(150) < 30, (labels + 1) % 3, labels)]
    score = evaluator(torch.eye(3)[labels], labels).score(table(wrong))
    assert (score.metric, score.drop, score.images) == (pytest.approx(80.0), pytest.approx(20.0), 150)
    assert score.drop_error == pytest.approx(100 * (0.2 * 0.8 / 150) ** 0.5)


def test_errors_are_better_when_lower():
    """End-point errors 5 and 0 against 0 and 1: two pixels less on average are lost."""
    truth = torch.zeros(2, 2, 1, 1)
    dense = torch.tensor([[3.0, 4.0], [0.0, 0.0]]).view(2, 2, 1, 1)
    other = torch.tensor([[0.0, 0.0], [0.0, 1.0]]).view(2, 2, 1, 1)
    score = evaluator(dense, truth, "epe").score(table(other))
    assert (score.metric, score.drop) == (pytest.approx(0.5), pytest.approx(-2.0))
    assert (score.agreement, score.kl, score.kl_error) == (None, None, None)


def test_outputs_with_targets_of_their_own_are_held_against_their_error():
    truth = torch.tensor([0.0, torch.nan]).view(1, 1, 1, 2)
    assert evaluator(torch.full((1, 1, 1, 2), 0.5), truth, "psnr").error_scale == pytest.approx(0.25)


def test_without_labels():
    free = evaluator(DENSE, LABELS, "agreement").score(table(OTHER))
    images = ImageSet(numbered(LABELS).images, None)
    score = Evaluator(table(DENSE), images, replace(CARD, metric="agreement")).score(table(OTHER))
    assert score == free
    assert (score.metric, score.drop) == (pytest.approx(40.0), pytest.approx(60.0))
    with pytest.raises(DataError, match="top1 wants labels, but the images have none; choose one of agreement, kl"):
        Evaluator(table(DENSE), images, CARD)


def test_images_of_several_sizes():
    """Each is scored on its own, and counts alike."""
    parts = tuple(
        ImageSet(torch.full((1, 1, side, side), 51, dtype=torch.uint8), torch.zeros(1, 1, side, side))
        for side in (2, 9)
    )
    card = replace(CARD, std=(1.0,), metric="psnr", classes=None)
    score = Evaluator(lambda x: x, MixedSizes(parts), card).score(lambda x: x / 2)
    assert score.metric == pytest.approx(20.0)
    assert score.drop == pytest.approx(20 * math.log10(0.5))
    assert score.images == 2


@pytest.mark.parametrize("indices", [slice(70, 140), slice(3, 5), torch.tensor([0, 63, 64, 149])])
def test_part_of_the_images(indices):
    labels = torch.arange(150) % 3
    draw = torch.Generator().manual_seed(0)
    dense, other = (torch.randn(150, 3, generator=draw) for _ in range(2))
    whole = evaluator(dense, labels)
    part = whole.part(indices)
    alone = Evaluator(table(dense), numbered(labels).part(indices), CARD)
    assert len(part) == len(alone) == len(labels[indices])
    assert part.score(table(other)) == alone.score(table(other))
    assert part.dense == alone.dense
    assert part.error_scale == whole.error_scale
    figures, own = whole.per_image(table(other)).part(indices), part.per_image(table(other))
    assert torch.equal(figures.error, own.error)
    assert part.compared(figures) == alone.score(table(other))


@pytest.mark.parametrize(("indices", "sides"), [(slice(1, 4), [2, 9, 9]), (torch.tensor([0, 3]), [2, 9])])
def test_part_of_images_of_several_sizes(indices, sides):
    sets = tuple(
        ImageSet(torch.full((2, 1, side, side), 51, dtype=torch.uint8), torch.zeros(2, 1, side, side))
        for side in (2, 9)
    )
    card = replace(CARD, std=(1.0,), metric="psnr", classes=None)
    part = Evaluator(lambda x: x, MixedSizes(sets), card).part(indices)
    assert part.score(lambda x: x / 2).images == len(sides)
    shapes = [inputs.shape[-1] for inputs, _ in MixedSizes(sets).part(indices).batches((0.0,), (1.0,)) for _ in inputs]
    assert shapes == sides


def test_images_of_another_size_are_refused():
    card = replace(CARD, input_shape=(1, 1, 2))
    with pytest.raises(DataError, match=r"images have shape \(1, 1, 1\), but toy takes \(1, 1, 2\)"):
        Evaluator(table(DENSE), numbered(LABELS), card)


def test_outputs_that_are_not_finite_count_as_wrong():
    score = evaluator(DENSE, LABELS).score(table(DENSE * torch.nan))
    assert score.metric == pytest.approx(40.0)  # all are called class 0
    assert math.isfinite(score.logit_mse)


@pytest.mark.parametrize(
    ("network", "labels", "message"),
    [
        (table(DENSE), LABELS + 1, "labels go up to 3; use data with the network's classes$"),
        (nn.Identity(), LABELS, r"output has shape \(1, 1, 1\)"),
        (table(DENSE * torch.nan), LABELS, "outputs are not finite; check its weights"),
        (table(DENSE), torch.zeros(5, 1, 1, 1), "accuracy wants class numbers"),
    ],
)
def test_errors(network, labels, message):
    with pytest.raises(DataError, match=message) as caught:
        Evaluator(network, numbered(labels), CARD)
    assert len(str(caught.value).splitlines()) == 1


class _OfBytes(nn.Module):
    """A network whose numbers take one byte each."""

    code_bytes = 1

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, x):
        self.batches.append(len(x))
        return x / 2


def test_networks_of_bytes_get_larger_batches_and_the_same_figures():
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(count, 1, side, side, generator=generator) for count, side in ((700, 2), (150, 3))]
    card = replace(CARD, std=(1.0,), metric="psnr", classes=None)
    scorer = Evaluator(lambda x: x, MixedSizes(tuple(ImageSet(255 * x, x) for x in images)), card)
    network = _OfBytes()
    figures = scorer.per_image(network)
    assert network.batches == [256, 256, 188, 150]
    assert torch.equal(figures.value, scorer.per_image(lambda x: x / 2).value)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_networks_with_one_output_are_scored_by_a_metric_of_ones_own(shape):
    targets = torch.tensor([0, 1, 1, 0, 1])

    def right(outputs, targets):
        return 100.0 * ((outputs.flatten() > 0.5).long() == targets)

    dense = torch.tensor([0.1, 0.9, 0.8, 0.2, 0.7]).view(-1, *shape)
    other = torch.tensor([0.1, 0.9, 0.4, 0.2, 0.7]).view(-1, *shape)
    score = Evaluator(table(dense), numbered(targets), replace(CARD, metric=right, classes=None)).score(table(other))
    assert (score.drop, score.kl, score.agreement) == (20.0, None, None)
    assert score.logit_mse == pytest.approx(0.4**2 / 5)


def test_a_network_of_other_outputs_is_refused():
    with pytest.raises(
        DataError, match=r"gives \[4\] for an image, the pretrained one \[3\]; compare it with the network"
    ):
        evaluator(DENSE, LABELS).score(table(torch.eye(4)[[0, 1, 2, 3, 0]]))
