"""`Score`: how a network does beside the dense one."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from rlcompress.evaluation.metrics import Metric, agreement, clipped_kl


@dataclass(frozen=True, slots=True)
class Score:
    """How a network does on a set of images, beside the dense network on the same images.

    Every figure is a mean over images; ``..._error`` its standard error; 1.96 of them on
    either side are a 95 % confidence interval.

    Attributes:
        metric: in the metric's unit (top-1: percent).
        drop: what is lost of it against the dense network, in the metric's unit (negative: gained).
        drop_error: from the images on which the two networks differ.
        agreement: percent of images on which both networks name the same class; None without classes.
        logit_mse: mean squared difference of the outputs.
        images: how many images were looked at.
        kl: mean Kullback-Leibler divergence from the dense network's classes, clipped at 1 an image; None without
            classes.
        expected_drop: what is to be expected to be lost, where images are of the classes that the dense network gives
            them, as surely as it is right; None where that is not known. It knows no chance of the labels, so that it
            is as sure as a drop on some nine times as many images, but takes the dense network at its word.
        metric_error, agreement_error, logit_mse_error, kl_error, expected_drop_error: standard errors.
    """

    metric: float
    drop: float
    drop_error: float
    agreement: float | None
    logit_mse: float
    images: int
    kl: float | None = None
    metric_error: float = 0.0
    agreement_error: float | None = None
    logit_mse_error: float = 0.0
    kl_error: float | None = None
    expected_drop: float | None = None
    expected_drop_error: float | None = None


@dataclass(frozen=True, slots=True)
class PerImage:
    """A network's figures image by image, each [N] float64.

    Attributes:
        value: of the metric.
        logit_mse: mean squared difference of the outputs.
        agreement: 100 or 0; None without classes.
        kl: clipped at 1; None without classes.
        expected: value of the metric to be expected, see `Score.expected_drop`; None where that is not known.
    """

    value: Tensor
    logit_mse: Tensor
    agreement: Tensor | None
    kl: Tensor | None
    expected: Tensor | None

    @classmethod
    def of(
        cls, metric: Metric, outputs: Tensor, dense: Tensor, targets: Tensor | None, temperature: float | None
    ) -> Self:
        """Compare a network's outputs with the dense network's on a batch of images with their targets.

        ``temperature`` is what the dense network's outputs are divided by to tell how sure it may be; None for no
        expected values.
        """
        expected = None
        if temperature is not None and metric.expected is not None:
            expected = metric.expected(outputs, (dense / temperature).softmax(1)).double()
        classes = dense.dim() == 2 and dense.shape[1] > 1 and (targets is None or targets.dtype == torch.int64)
        return cls(
            value=metric.values(outputs, targets, dense),
            logit_mse=(outputs - dense).square().view(len(outputs), -1).mean(1).double(),
            agreement=agreement(outputs, dense).double() if classes else None,
            kl=clipped_kl(outputs, dense).double() if classes else None,
            expected=expected,
        )

    @classmethod
    def cat(cls, parts: "list[PerImage]") -> Self:
        """Batches one after the other."""
        columns = ([getattr(part, name) for part in parts] for name in cls.__slots__)
        return cls(*(None if column[0] is None else torch.cat(column) for column in columns))  # type: ignore[arg-type]

    def part(self, indices: Tensor | slice) -> Self:
        """Those of some images."""
        columns = (getattr(self, name) for name in self.__slots__)
        return type(self)(*(None if c is None else c[indices] for c in columns))  # type: ignore[arg-type]

    @property
    def error(self) -> Tensor:
        """What candidates are ranked by, [N]: the clipped KL divergence; without classes the error of the outputs."""
        return self.logit_mse if self.kl is None else self.kl

    def score(self, dense: "PerImage", metric: Metric) -> Score:
        """The means with their standard errors; drops are paired, image by image."""
        lost = dense.value - self.value if metric.higher_is_better else self.value - dense.value
        figures = {"metric": self.value, "drop": lost, "logit_mse": self.logit_mse}
        optional = {"agreement": self.agreement, "kl": self.kl}
        if self.expected is not None and dense.expected is not None:
            optional["expected_drop"] = dense.expected - self.expected
        figures |= {name: values for name, values in optional.items() if values is not None}
        means = {name: float(values.mean()) for name, values in figures.items()}
        errors = {f"{name}_error": _standard_error(values) for name, values in figures.items()}
        return Score(**{"agreement": None, **means, **errors}, images=len(lost))  # type: ignore[arg-type]


def _standard_error(values: Tensor) -> float:
    return float(values.std(correction=0)) / len(values) ** 0.5
