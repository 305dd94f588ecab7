import math

import pytest
import torch

from rlcompress.errors import DataError, RunError
from rlcompress.evaluation import METRICS, Metric, metric_of
from rlcompress.evaluation.metrics import temperature

PROBABILITIES = torch.tensor([[0.3, 0.1, 0.2, 0.05, 0.25, 0.1], [0.02, 0.08, 0.1, 0.1, 0.2, 0.5]])
LOGITS = torch.tensor([[9.0, 8, 7, 6, 5, 4], [0, 1, 2, 3, 4, 5]])


def values(name, outputs, targets):
    return METRICS[name].values(outputs, targets, outputs).tolist()


def test_accuracies():
    labels = torch.tensor([0, 1])
    assert values("top1", LOGITS, labels) == [100.0, 0.0]
    assert values("top5", LOGITS, labels) == [100.0, 100.0]
    assert values("top5", LOGITS, torch.tensor([5, 0])) == [0.0, 0.0]
    assert values("top5", LOGITS[:, :3], torch.tensor([2, 0])) == [100.0, 100.0]


def test_what_probabilities_let_expect():
    labels = torch.multinomial(PROBABILITIES, 200_000, replacement=True, generator=torch.Generator().manual_seed(0))
    for name in ("top1", "top5"):
        metric = metric_of(name)
        expected = metric.expected(LOGITS, PROBABILITIES)
        for i in range(2):
            drawn = metric.per_image(LOGITS[i].expand(labels.shape[1], -1), labels[i]).mean()
            assert expected[i] == pytest.approx(float(drawn), abs=0.3)


def test_the_temperature_of_outputs_that_are_too_sure():
    generator = torch.Generator().manual_seed(0)
    sure = torch.randn(20_000, 5, generator=generator) * 2
    labels = torch.multinomial(sure.softmax(1), 1, generator=generator)[:, 0]
    for true in (0.5, 1.0, 3.0):
        assert temperature(sure * true, labels) == pytest.approx(true, rel=0.1)


def test_psnr_leaves_uncounted_pixels_out_and_clips():
    outputs = torch.tensor([[0.6, 1.7, 0.3], [0.5, 0.5, 0.5]]).view(2, 1, 1, 3)
    targets = torch.tensor([[0.5, 1.0, torch.nan], [0.5, 0.5, 0.5]]).view(2, 1, 1, 3)
    assert values("psnr", outputs, targets) == pytest.approx([-10 * math.log10(0.01 / 2), 100.0], rel=1e-5)


def test_end_point_error_of_flow():
    outputs = torch.tensor([[[3.0, 1.0]], [[4.0, 0.0]]])[None]
    assert values("epe", outputs, torch.zeros(1, 2, 1, 2)) == [3.0]


def test_a_drop_that_allows_everything_is_refused():
    METRICS["kl"].check_allowed([0.1, 0.99])
    METRICS["top1"].check_allowed([150.0])
    with pytest.raises(RunError, match=r"a drop of 1 nats allows everything, as no image's kl is beyond 1; give less"):
        METRICS["kl"].check_allowed([0.1, 1.0])


def test_clipped_kl():
    dense = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    outputs = torch.tensor([[math.log(3.0), 0.0], [0.0, 100.0]])
    expected = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert METRICS["kl"].values(outputs, None, dense).tolist() == pytest.approx([expected, 1.0])


def test_own_functions():
    def halves(outputs, targets):
        return outputs[:, 0] / 2

    assert metric_of(lambda outputs, _: halves(outputs, _).numpy()).values(LOGITS, LOGITS, LOGITS).tolist() == [4.5, 0]
    metric = metric_of(halves)
    assert (metric.name, metric.unit, metric.higher_is_better) == ("halves", "points", True)
    assert metric.values(LOGITS, LOGITS, LOGITS).tolist() == [4.5, 0.0]
    assert metric_of(metric) is metric
    own = Metric("mine", "px", halves, "mine", higher_is_better=False)
    assert metric_of(own).unit == "px"


def test_names():
    assert metric_of("psnr").unit == "dB"
    assert metric_of("rlcompress.evaluation.metrics:top5").per_image is METRICS["top5"].per_image


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("beauty", "unknown metric 'beauty'; choose from top1, top5, psnr, epe, agreement, kl or package"),
        ("absent_module:f", "no module 'absent_module'"),
        ("math:pi", "metric 'math:pi' is a float; give a function"),
    ],
)
def test_unknown_metrics(metric, message):
    with pytest.raises(RunError, match=message):
        metric_of(metric)


@pytest.mark.parametrize(
    ("metric", "outputs", "targets", "message"),
    [
        ("psnr", LOGITS, torch.tensor([0, 1]), r"output has shape \(6,\), but the targets \(\)"),
        ("top1", LOGITS, LOGITS, "accuracy wants class numbers, int64 \\[N\\], as labels, got torch.float32"),
        ("psnr", LOGITS, torch.full_like(LOGITS, torch.nan), "must give one finite value an image"),
        (
            lambda outputs: outputs,
            LOGITS,
            LOGITS,
            r"metric <lambda> failed \(.*takes 1 .*\); it gets outputs \[2, 6\] and",
        ),
        (lambda outputs, targets: "high", LOGITS, LOGITS, r"metric <lambda> failed \(.*\); .* and gives \[2\]"),
        (lambda outputs, targets: outputs.mean(), LOGITS, LOGITS, r"one finite value an image, \[2\], got \[\]"),
    ],
)
def test_targets_that_do_not_fit(metric, outputs, targets, message):
    with pytest.raises(DataError, match=message):
        metric_of(metric).values(outputs, targets, outputs)
