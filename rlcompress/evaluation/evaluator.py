"""`Evaluator`: scores networks against the dense one on the same images."""

from collections.abc import Iterator
from copy import copy
from typing import Self

import torch
from torch import Tensor, nn

from rlcompress.data import Images, check_shape
from rlcompress.errors import DataError
from rlcompress.evaluation.metrics import metric_of, temperature
from rlcompress.evaluation.score import PerImage, Score
from rlcompress.memory import FLOAT_BYTES
from rlcompress.network.cards import NetworkCard


class Evaluator:
    """Scores networks on fixed images.

    Args:
        dense: the network that others are compared with.
        images: with their targets, or without for label-free metrics.
        card: the normalisation that the networks want, and the metric.

    Attributes:
        metric: what is measured.
        error_scale: what squared errors of outputs are large or small against: the variance of class scores; where
            targets are of the outputs' own kind, the dense network's squared error.

    Raises:
        DataError: the images' shape, the targets or the dense network's outputs do not fit the card or the metric,
            or those outputs are not finite.
        RunError: unknown metric.
    """

    @torch.no_grad()
    def __init__(self, dense: nn.Module, images: Images, card: NetworkCard) -> None:
        self.metric = metric_of(card.metric)
        self._images, self._card = images, card
        self._dense: list[Tensor] = []
        labels, squares = list[Tensor | None](), []
        for inputs, targets in self._batches():
            check_shape(card, inputs.shape[1:])
            outputs = dense(inputs)
            if not bool(outputs.isfinite().all()):
                raise DataError("the network's outputs are not finite; check its weights and the data's mean and std")
            self.metric.values(outputs, targets, outputs)  # whether they fit
            labels.append(targets)
            if targets is not None and targets.shape == outputs.shape:
                squares.append((outputs - targets).square().flatten())
            self._dense.append(outputs)
        self._temperature = self._fitted_temperature(labels)
        figures = (self._figures(*of) for of in zip(self._dense, self._dense, labels, strict=True))
        self._dense_figures = PerImage.cat(list(figures))
        if squares:
            self.error_scale = float(torch.cat(squares).nanmean())
        else:
            self.error_scale = float(torch.cat([outputs.flatten() for outputs in self._dense]).var())

    def part(self, indices: Tensor | slice) -> Self:
        """The same for some of the images, increasing int64 [M] or a slice; the dense network is not run again.

        `error_scale` stays that of all images.
        """
        some = copy(self)
        some._images = self._images.part(indices)
        rows = [row for outputs in self._dense for row in outputs]
        wanted = (rows[i] for i in torch.arange(len(rows))[indices].tolist())
        some._dense = [torch.stack([next(wanted) for _ in inputs]) for inputs, _ in some._batches()]
        some._dense_figures = self._dense_figures.part(indices)
        return some

    def __len__(self) -> int:
        """Number of images."""
        return len(self._images)

    @property
    def dense(self) -> Score:
        """The dense network's own score."""
        return self._dense_figures.score(self._dense_figures, self.metric)

    def score(self, network: nn.Module) -> Score:
        """Score a network on all images."""
        return self.compared(self.per_image(network))

    def compared(self, figures: PerImage) -> Score:
        """The score that a network's figures on all images amount to."""
        return figures.score(self._dense_figures, self.metric)

    @torch.no_grad()
    def per_image(self, network: nn.Module) -> PerImage:
        """A network's figures image by image, in the images' order.

        Raises:
            DataError: its outputs have another shape than the dense network's.
        """
        dense, parts = iter(self._dense), []
        for inputs, targets in self._batches(getattr(network, "code_bytes", FLOAT_BYTES)):
            outputs = network(inputs).nan_to_num_()
            wanted = _next(dense, len(outputs))
            if outputs.shape != wanted.shape:
                raise DataError(
                    f"the network gives {list(outputs.shape[1:])} for an image, the pretrained one "
                    f"{list(wanted.shape[1:])}; compare it with the network that it was made from"
                )
            parts.append(self._figures(outputs, wanted, targets))
        return PerImage.cat(parts)

    def _figures(self, outputs: Tensor, dense: Tensor, targets: Tensor | None) -> PerImage:
        return PerImage.of(self.metric, outputs, dense, targets, self._temperature)

    def _fitted_temperature(self, labels: list[Tensor | None]) -> float | None:
        """Of the dense network; None where images have no classes."""
        known = [part for part in labels if part is not None and part.dtype == torch.int64]
        if self.metric.expected is None or len(known) < len(labels):
            return None
        return temperature(torch.cat(self._dense), torch.cat(known))

    def _batches(self, size: int = FLOAT_BYTES) -> Iterator[tuple[Tensor, Tensor | None]]:
        return self._images.batches(self._card.mean, self._card.std, size)


def _next(batches: Iterator[Tensor], count: int) -> Tensor:
    """The next batches of so many images together."""
    taken = [next(batches)]
    while sum(map(len, taken)) < count:
        taken.append(next(batches))
    return torch.cat(taken)
