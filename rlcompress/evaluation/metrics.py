"""Metrics: what a network gets right, one value an image, so that two networks are compared image by image."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rlcompress.errors import DataError, RlcompressError, RunError
from rlcompress.plugins import reason_of, resolve

KL_LIMIT = 1.0
_TEMPERATURES = [2.0 ** (step / 8) for step in range(-16, 25)]
_LEAST_ERROR = 1e-10  # of a mean square: a perfect image counts as 100 dB

PerImage = Callable[[Tensor, Tensor], Tensor]
"""(outputs [N, ...], targets [N, ...]) -> [N]."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of merit, the mean over images of one value each.

    Attributes:
        name: in `METRICS`, or as the user gave it.
        unit: of a difference of two values; drops are in it.
        per_image: gives every image's value.
        label: for tables.
        higher_is_better: False for errors.
        label_free: whether the dense network's outputs take the place of targets.
        expected: (outputs [N, K], probabilities of the classes [N, K]) -> the values [N] to be expected where classes
            were drawn by them; None where that is not known.
        most: the largest drop that there can be.
        point: the drop that weighs as much as a point of accuracy does.
        slope: drop a unit of error (the clipped KL divergence, or the outputs' relative squared error where there are
            no classes) that is expected until something is measured.
    """

    name: str
    unit: str
    per_image: PerImage
    label: str
    higher_is_better: bool = True
    label_free: bool = False
    expected: PerImage | None = None
    most: float = math.inf
    point: float = 1.0
    slope: float = 60.0  # typical of CIFAR networks

    def check_allowed(self, drops: Iterable[float]) -> None:
        """See that allowed drops allow less than everything.

        Raises:
            RunError: one does not.
        """
        for drop in drops:
            if drop >= self.most:
                raise RunError(
                    f"a drop of {drop:g} {self.unit} allows everything, as no image's {self.name} is beyond "
                    f"{self.most:g}; give less with --max-drop and --goals"
                )

    def values(self, outputs: Tensor, targets: Tensor | None, dense: Tensor) -> Tensor:
        """Every image's value: [N] float64.

        Raises:
            DataError: targets are missing or of another kind than the metric wants, it fails, or a value is not finite.
        """
        against = dense if self.label_free else targets
        if against is None:
            free = ", ".join(name for name, metric in METRICS.items() if metric.label_free)
            raise DataError(f"metric {self.name} wants labels, but the images have none; choose one of {free}")
        try:
            values = torch.as_tensor(self.per_image(outputs, against))
        except RlcompressError:
            raise
        except (Exception, SystemExit) as error:  # a user's function may raise anything
            raise DataError(
                f"metric {self.name} failed ({reason_of(error)}); it gets outputs {list(outputs.shape)} and targets "
                f"{list(against.shape)}, and gives [{len(outputs)}]"
            ) from None
        if values.shape != outputs.shape[:1] or not bool(values.isfinite().all()):
            raise DataError(
                f"metric {self.name} must give one finite value an image, [{len(outputs)}], got {list(values.shape)}; "
                "does it fit the network's outputs?"
            )
        return values.double()


def top1(outputs: Tensor, targets: Tensor) -> Tensor:
    """100 where the class is the network's first choice, else 0."""
    return 100.0 * (_scores(outputs, targets).argmax(1) == targets)


def top5(outputs: Tensor, targets: Tensor) -> Tensor:
    """100 where the class is among the network's first five choices, else 0."""
    first = _scores(outputs, targets).topk(min(5, outputs.shape[1]), dim=1).indices
    return 100.0 * (first == targets[:, None]).any(1)


def expected_top1(outputs: Tensor, probabilities: Tensor) -> Tensor:
    """What `top1` is to be expected to be: 100 times the probability of the network's first choice."""
    return 100.0 * probabilities.gather(1, outputs.argmax(1, keepdim=True))[:, 0]


def expected_top5(outputs: Tensor, probabilities: Tensor) -> Tensor:
    """What `top5` is to be expected to be: 100 times the probability of the network's first five choices."""
    return 100.0 * probabilities.gather(1, outputs.topk(min(5, outputs.shape[1]), dim=1).indices).sum(1)


def temperature(outputs: Tensor, labels: Tensor) -> float:
    """What outputs [N, K] are divided by for their softmax to tell classes as surely as they are right.

    That of least cross-entropy on a grid (Guo et al., On calibration of modern neural networks, ICML 2017).
    """
    return min(_TEMPERATURES, key=lambda of: float(F.cross_entropy(outputs / of, labels)))


def psnr(outputs: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of images on the scale 0 to 1, clipped to it; NaN targets do not count."""
    square = (_maps(outputs, targets).clamp(0.0, 1.0) - targets).square()
    return -10.0 * square.flatten(1).nanmean(1).clamp_min(_LEAST_ERROR).log10()


def end_point_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean length of the error vectors of disparity or flow [N, C, H, W], in pixels; NaN targets do not count."""
    return (_maps(outputs, targets) - targets).square().sum(1).sqrt().flatten(1).nanmean(1)


def agreement(outputs: Tensor, dense: Tensor) -> Tensor:
    """100 where both networks name the same class, else 0."""
    return 100.0 * (_scores(outputs, dense.argmax(1)).argmax(1) == dense.argmax(1))


def clipped_kl(outputs: Tensor, dense: Tensor) -> Tensor:
    """Kullback-Leibler divergence in nats from the dense network's classes, clipped at 1.

    Clipped, so that a few images on which everything is lost do not drown the others; it ranks policies with a
    quarter of the images that accuracy takes.
    """
    log_p, log_q = dense.log_softmax(1), outputs.log_softmax(1)
    return (log_p.exp() * (log_p - log_q)).sum(1).clamp(0.0, KL_LIMIT)


def _scores(outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.dtype != torch.int64:
        raise DataError(
            f"accuracy wants class numbers, int64 [N], as labels, got {targets.dtype}; convert them, or choose another "
            "metric with --metric"
        )
    if outputs.dim() != 2 or outputs.shape[1] <= int(targets.max()):
        raise DataError(
            f"the network's output has shape {tuple(outputs.shape[1:])}, but labels go up to "
            f"{int(targets.max())}; use data with the network's classes"
        )
    return outputs


def _maps(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.shape != targets.shape:
        raise DataError(
            f"the network's output has shape {tuple(outputs.shape[1:])}, but the targets {tuple(targets.shape[1:])}; "
            "use data whose targets are what the network gives, or another --metric"
        )
    return outputs


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("top1", "points", top1, "top-1", expected=expected_top1),
        Metric("top5", "points", top5, "top-5", expected=expected_top5),
        Metric("psnr", "dB", psnr, "PSNR", slope=4.3),  # 10 dB by ln 10
        Metric("epe", "px", end_point_error, "end-point error", higher_is_better=False),
        Metric("agreement", "points", agreement, "agreement", label_free=True),
        Metric(
            "kl",
            "nats",
            clipped_kl,
            "clipped KL",
            higher_is_better=False,
            label_free=True,
            most=KL_LIMIT,
            point=0.02,
            slope=1.0,
        ),
    )
}
"""Name on the command line -> metric."""


def metric_of(metric: str | Metric | PerImage) -> Metric:
    """A metric by its name, by ``package.module:attribute``, or of a callable (higher is better, in points).

    Raises:
        RunError: unknown name, or nothing that can be called.
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric in METRICS:
            return METRICS[metric]
        if ":" not in metric:
            raise RunError(f"unknown metric {metric!r}; choose from {', '.join(METRICS)} or package.module:function")
        found = resolve(metric, "metric", RunError)
        return found if isinstance(found, Metric) else _of_callable(found, metric)
    return _of_callable(metric, getattr(metric, "__name__", "metric"))


def _of_callable(function: PerImage, name: str) -> Metric:
    if not callable(function):
        raise RunError(f"metric {name!r} is a {type(function).__name__}; give a function or a Metric")
    return Metric(name, "points", function, name)
