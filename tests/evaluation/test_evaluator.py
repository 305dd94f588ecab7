import pytest
import torch
from torch import nn

from rlcompress.errors import DataError
from rlcompress.evaluation import Evaluator

LABELS = torch.tensor([0, 1, 2, 0, 1])
DENSE = torch.eye(3)[[0, 1, 2, 0, 0]]  # right: 1 1 1 1 0
OTHER = torch.eye(3)[[0, 2, 2, 1, 1]]  # right: 1 0 1 0 1


def table(logits):
    """A network whose images hold the numbers of its logits' rows."""
    return lambda x: logits[x[:, 0, 0, 0].long()]


def numbered(count):
    return torch.arange(count).float().view(-1, 1, 1, 1)


def test_score_by_hand():
    score = Evaluator(table(DENSE), numbered(5), LABELS).score(table(OTHER))
    assert score.metric == pytest.approx(60.0)
    assert score.drop == pytest.approx(20.0)  # lost 0 1 0 1 -1: mean 0.2, variance 0.6 - 0.04
    assert score.drop_error == pytest.approx(100 * (0.56 / 5) ** 0.5)
    assert score.agreement == pytest.approx(40.0)
    assert score.logit_mse == pytest.approx(3 * 2 / 15)
    assert score.images == 5


def test_the_dense_network_loses_nothing():
    evaluator = Evaluator(table(DENSE), numbered(5), LABELS)
    assert evaluator.dense == evaluator.score(table(DENSE))
    assert (evaluator.dense.metric, evaluator.dense.drop, evaluator.dense.drop_error) == (pytest.approx(80.0), 0.0, 0.0)
    assert (evaluator.dense.agreement, evaluator.dense.logit_mse) == (100.0, 0.0)
    assert evaluator.logit_variance == pytest.approx(float(DENSE.var()))


def test_a_better_network_has_a_negative_drop():
    assert Evaluator(table(OTHER), numbered(5), LABELS).score(table(DENSE)).drop == pytest.approx(-20.0)


def test_more_images_than_a_batch():
    labels = torch.arange(150) % 3
    evaluator = Evaluator(table(torch.eye(3)[labels]), numbered(150), labels)
    wrong = torch.eye(3)[torch.where(torch.arange(150) < 30, (labels + 1) % 3, labels)]
    score = evaluator.score(table(wrong))
    assert (score.metric, score.drop, score.images) == (pytest.approx(80.0), pytest.approx(20.0), 150)
    assert score.drop_error == pytest.approx(100 * (0.2 * 0.8 / 150) ** 0.5)


@pytest.mark.parametrize(
    ("network", "images", "labels", "message"),
    [
        (table(DENSE), numbered(0), LABELS[:0], "^evaluation set is empty; give at least one image$"),
        (table(DENSE), numbered(5), LABELS + 1, "labels go up to 3; use data with the network's classes$"),
        (nn.Identity(), numbered(5), LABELS, r"output has shape \(1, 1, 1\)"),
        (table(DENSE * torch.nan), numbered(5), LABELS, "outputs are not finite; check its weights"),
        (table(DENSE), numbered(5), LABELS[:3], "^5 images, but 3 labels; give one label an image$"),
    ],
)
def test_errors(network, images, labels, message):
    with pytest.raises(DataError, match=message) as caught:
        Evaluator(network, images, labels)
    assert len(str(caught.value).splitlines()) == 1
