"""In which order channels go, judged by what the layers that read them lose."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlcompress.pruning.statistics import damped_inverse

_STEPS = 128  # between which all channels go; where there are more, several at once


@dataclass(frozen=True, slots=True)
class Reader:
    """A layer that reads channels which may be removed.

    Attributes:
        weight: [K, D], D = C * R * S.
        hessian: [D, D] second moments of its inputs.
        classes: [C] class of each input channel; channels of one class go together.
    """

    weight: Tensor
    hessian: Tensor
    classes: Sequence[int]


def removal_order(readers: Sequence[Reader], classes: Collection[int]) -> list[int]:
    """Classes of channels, from the one that is missed least.

    Optimal Brain Surgeon for whole channels: the class goes whose removal adds least to the squared output errors of
    its readers, each relative to the power of the reader's outputs, when all that remains makes up for it,
    tr(W_S [H^-1_SS]^-1 W_S^T) for the columns S of a channel; then W and H^-1 are brought up to date and the next one
    is chosen (Hassibi & Stork, NIPS 1992; for structures Kurtic, Frantar & Alistarh, "ZipLM", NeurIPS 2023, eq. 3).

    Args:
        readers: that read some of the classes.
        classes: that may go.
    """
    shrinking = [_Shrinking(reader) for reader in readers]
    left, order = sorted(classes), list[int]()
    at_once = -(-len(left) // _STEPS)
    while left:
        harm = dict.fromkeys(left, 0.0)
        for reader in shrinking:
            for c, more in reader.harm().items():
                if c in harm:
                    harm[c] += more
        gone = sorted(left, key=lambda c: (harm[c], c))[:at_once]
        for reader in shrinking:
            reader.remove(gone)
        order += gone
        left = [c for c in left if c not in gone]
    return order


class _Shrinking:
    """A reader while its input channels go."""

    def __init__(self, reader: Reader) -> None:
        self._classes = torch.tensor(reader.classes)
        self._window = reader.weight.shape[1] // len(reader.classes)
        self._inverse = damped_inverse(reader.hessian[None])[0]
        self._weight = reader.weight.double()
        power = float(((self._weight @ reader.hessian.double()) * self._weight).sum())
        self._scale = 1.0 / power if power > 0.0 else 0.0

    def harm(self) -> dict[int, float]:
        """Class -> relative squared error that its removal would add, the sum over its channels."""
        shape = (len(self._classes), self._window)
        blocks = self._inverse.unflatten(1, shape).unflatten(0, shape).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
        weight = self._weight.unflatten(1, shape).movedim(1, 0)
        gram = weight.transpose(1, 2) @ weight
        errors = (torch.linalg.inv(blocks) * gram).sum((1, 2)) * self._scale
        harm: dict[int, float] = {}
        for c, error in zip(self._classes.tolist(), errors.tolist(), strict=True):
            harm[c] = harm.get(c, 0.0) + error
        return harm

    def remove(self, classes: Collection[int]) -> None:
        """Let channels go; the weights that remain make up for them."""
        gone = torch.isin(self._classes, torch.tensor(list(classes)))
        columns = gone.repeat_interleave(self._window).nonzero().flatten()
        if len(columns) == 0:
            return
        share = torch.linalg.solve(self._inverse[columns][:, columns], self._inverse[columns])
        stays = ~gone.repeat_interleave(self._window)
        self._weight = (self._weight - self._weight[:, columns] @ share)[:, stays]
        self._inverse = (self._inverse - self._inverse[:, columns] @ share)[stays][:, stays]
        self._classes = self._classes[~gone]
