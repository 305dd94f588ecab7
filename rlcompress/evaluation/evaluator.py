"""`Evaluator`: scores networks against the dense one on the same images."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rlcompress.errors import DataError

_BATCH = 64  # the fastest batch of small networks on a CPU; fixed, since results may depend on it in the last bit


@dataclass(frozen=True, slots=True)
class Score:
    """How a network does on a set of images, beside the dense network on the same images.

    Attributes:
        metric: top-1 accuracy in percent.
        drop: points of top-1 lost against the dense network (negative: gained).
        drop_error: standard error of ``drop``, from the images on which the two networks differ.
        agreement: percent of images on which both networks name the same class.
        logit_mse: mean squared difference of the logits.
        images: how many images were looked at.
    """

    metric: float
    drop: float
    drop_error: float
    agreement: float
    logit_mse: float
    images: int


class Evaluator:
    """Scores networks on fixed images.

    Args:
        dense: the network that others are compared with.
        images: normalised images [N, C, H, W].
        labels: [N] class numbers.

    Raises:
        DataError: there are no images, or not as many labels, or the network gives outputs of another shape than
            [N, classes], of fewer classes than the labels name, or that are not finite.
    """

    def __init__(self, dense: nn.Module, images: Tensor, labels: Tensor) -> None:
        if len(images) == 0:
            raise DataError("evaluation set is empty; give at least one image")
        if len(images) != len(labels):
            raise DataError(f"{len(images)} images, but {len(labels)} labels; give one label an image")
        self._images = images.contiguous(memory_format=torch.channels_last)
        self._labels = labels
        self._dense = outputs(dense, self._images)
        if self._dense.dim() != 2 or self._dense.shape[1] <= int(labels.max()):
            raise DataError(
                f"the network's output has shape {tuple(self._dense.shape[1:])}, but labels go up to "
                f"{int(labels.max())}; use data with the network's classes"
            )
        if not bool(self._dense.isfinite().all()):
            raise DataError("the network's outputs are not finite; check its weights and the data's mean and std")

    @property
    def logit_variance(self) -> float:
        """Variance of the dense network's logits."""
        return float(self._dense.var())

    @property
    def dense(self) -> Score:
        """The dense network's own score."""
        return self._compare(self._dense)

    def score(self, network: nn.Module) -> Score:
        """Score a network on all images."""
        return self._compare(outputs(network, self._images))

    def _compare(self, logits: Tensor) -> Score:
        count = len(self._labels)
        right, right_dense = (x.argmax(1) == self._labels for x in (logits, self._dense))
        lost = right_dense.double() - right.double()
        return Score(
            metric=100.0 * float(right.double().mean()),
            drop=100.0 * float(lost.mean()),
            drop_error=100.0 * float(lost.std(correction=0)) / count**0.5,
            agreement=100.0 * float((logits.argmax(1) == self._dense.argmax(1)).double().mean()),
            logit_mse=float((logits - self._dense).square().mean()),
            images=count,
        )


@torch.no_grad()
def outputs(network: nn.Module, images: Tensor) -> Tensor:
    """A network's outputs [N, classes] on images [N, C, H, W], batch by batch."""
    return torch.cat([network(batch) for batch in images.split(_BATCH)])
