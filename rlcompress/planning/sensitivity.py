"""How much the network's output suffers from one thing done to one layer alone."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlcompress.candidates import Candidates
from rlcompress.evaluation.metrics import clipped_kl
from rlcompress.integer import Reference, Resumed
from rlcompress.memory import FLOAT_BYTES, images_at_once
from rlcompress.planning.space import ChoiceSpace
from rlcompress.spec import LayerChoice

_BITS = (2, 3, 4, 5, 6)
_REFERENCE_BITS = 8
_SHARED_BY = 4.0  # bits whose errors say who causes the reference's; clear of the noise of rounding
_KEEP_RATIOS = (0.8, 0.6, 0.4, 0.2)
_PLAIN = LayerChoice()
_BATCHES = 2  # that so many networks are run together on at most
_PREPARED, _PREPARED_BYTES = 32, 20_000_000  # networks before they are run, which takes half the time of one by one

Change = tuple[int, str, float]
"""Layer position, factor, value."""


@dataclass(frozen=True, slots=True)
class SensitivityRow:
    """What one factor set to one value in one layer does to the network's output.

    Attributes:
        layer: the layer, or the first layer of the coupling group or of the readers of a tensor.
        factor: ``weight_bits``, ``activation_bits``, or a granularity.
        value: bits, or the keep ratio.
        logit_mse: mean squared difference of the logits to the dense network's.
        kl: mean Kullback-Leibler divergence from the dense network's classes, clipped at 1 an image.
    """

    layer: str
    factor: str
    value: float
    logit_mse: float
    kl: float


def measure_sensitivity(
    bank: Candidates,
    space: ChoiceSpace,
    images: Tensor,
    on_row: Callable[[int, int], None] | None = None,
    most_bytes: int = 200_000_000,
    *,
    engine: str = "auto",
) -> list[SensitivityRow]:
    """Measure every factor of every layer on images [N, C, H, W], in integers as candidates are scored.

    Each change is made alone to the reference: all layers at 8 bits, nothing pruned. Both have their moments corrected
    as in `Candidates.stitch_locally`. The reference's stored tensors are computed once, and only what follows the
    change is run again.

    A row is what the change adds to the reference's error against the dense network in float32, at least 0. (Measured
    against the reference itself, each row would count the rounding of everything behind the change anew.) The
    reference's own error is shared out to the widths of weights and tensors in proportion to what 4 bits add: a row
    of 8 bits is that share, so that these rows add up to the reference's error; rows of fewer bits hold it as well.

    Args:
        bank: where the compressed layers come from.
        space: the layers, granularities and ties.
        images: normalised training images.
        on_row: called with (changes run, changes to run), each counted once for as many images as the memory for stored
            tensors allows.
        most_bytes: that stored tensors may take at a time; one image's are held whatever they take.
        engine: what executes the networks, see `rlcompress.integer.ENGINES`; the rows do not depend on it.
    """
    changes = [change for change in _changes(space) if not _is_reference(change)]
    reference = Reference(bank.stitch_locally(_choices(bank, space)), engine=engine)
    own, changed = np.zeros(2), np.zeros((len(changes), 2))
    prepared = min(_PREPARED, max(1, _PREPARED_BYTES // max(spec.weights for spec in space.layers)))
    chunks = images.split(_chunk_images(reference, images, most_bytes))
    for number, chunk in enumerate(chunks):
        with torch.no_grad():
            dense = torch.cat([bank.network.graph(batch) for batch in _batches(chunk)])
        kept, outputs = zip(*map(reference.run, _batches(chunk, reference.code_bytes)), strict=True)
        own += _distances(torch.cat(outputs), dense)
        at_once = max(1, _BATCHES * images_at_once(images[0].numel(), reference.code_bytes) // max(map(len, outputs)))
        done = number * len(changes)
        for start in range(0, len(changes), prepared):
            choices = (_choices(bank, space, change) for change in changes[start : start + prepared])
            networks = [reference.changed(bank.stitch_locally(of)) for of in choices]
            for group in _of_one_joint(networks, at_once):
                together = [networks[i] for i in group]
                batches = zip(*(reference.outputs(together, values) for values in kept), strict=True)
                for i, logits in zip(group, map(torch.cat, batches), strict=True):
                    changed[start + i] += _distances(logits, dense)
                done += len(group)
                if on_row is not None:
                    on_row(done, len(chunks) * len(changes))
    return _rows(space, own / len(images), dict(zip(changes, changed / len(images), strict=True)))


def _of_one_joint(networks: Sequence[Resumed], at_once: int) -> Iterator[list[int]]:
    """Positions of networks that can be run together, so many at a time at most."""
    found: dict[int, list[int]] = defaultdict(list)
    for i, network in enumerate(networks):
        found[network.joint].append(i)
    for positions in found.values():
        yield from (positions[i : i + at_once] for i in range(0, len(positions), at_once))


def _rows(
    space: ChoiceSpace, own: NDArray[np.float64], changed: dict[Change, NDArray[np.float64]]
) -> list[SensitivityRow]:
    added = {change: np.maximum(errors - own, 0.0) for change, errors in changed.items()}
    weights = {c[:2]: errors for c, errors in added.items() if c[1].endswith("_bits") and c[2] == _SHARED_BY}
    total = np.sum(list(weights.values()), axis=0)
    equal = own / len(weights)

    def error(change: Change) -> NDArray[np.float64]:
        alone = added.get(change, np.zeros(2))
        if change[:2] not in weights:
            return alone
        share = np.divide(own * weights[change[:2]], total, out=equal.copy(), where=total > 0)
        return np.asarray(alone + share, np.float64)

    return [SensitivityRow(space.layers[c[0]].name, c[1], c[2], *map(float, error(c))) for c in _changes(space)]


def covers(rows: Sequence[SensitivityRow], space: ChoiceSpace) -> bool:
    """Whether rows are what `measure_sensitivity` measures for a space, so that they can stand for measuring again."""
    wanted = [(space.layers[i].name, factor, value) for i, factor, value in _changes(space)]
    finite = all(math.isfinite(row.logit_mse) and math.isfinite(row.kl) for row in rows)
    return finite and [(row.layer, row.factor, row.value) for row in rows] == wanted


def _changes(space: ChoiceSpace) -> Iterator[Change]:
    """What the table has a row for."""
    widths = (*_BITS, _REFERENCE_BITS)
    for i in range(len(space.layers)):
        yield from ((i, "weight_bits", float(b)) for b in widths)
        if space.reader[i] == i:
            yield from ((i, "activation_bits", float(b)) for b in widths)
        for granularity in space.allowed(i)[1:]:
            if granularity != "filter" or space.leader[i] == i:
                yield from ((i, granularity, r) for r in _measured(space.ratios(granularity)))


def _measured(ratios: Sequence[float]) -> list[float]:
    """The least of the offered keep ratios, below which the proxy knows of no further harm, and a few others."""
    return [r for i, r in enumerate(ratios) if i == 0 or len(ratios) <= len(_KEEP_RATIOS) or r in _KEEP_RATIOS]


def _is_reference(change: Change) -> bool:
    return change[1].endswith("_bits") and change[2] == _REFERENCE_BITS


def _choices(bank: Candidates, space: ChoiceSpace, change: Change | None = None) -> dict[str, LayerChoice]:
    """The reference's choices with one change."""
    choices = dict.fromkeys((spec.name for spec in space.layers), _PLAIN)
    if change is None:
        return choices
    position, factor, value = change
    layer, reads = space.layers[position], bank.network.reads
    if factor == "weight_bits":
        return choices | {layer.name: space.narrow_weights(int(value))}
    if factor == "activation_bits":
        narrow = LayerChoice(activation_bits=int(value))
        return choices | {name: narrow for name, stored in reads.items() if stored == reads[layer.name]}
    pruned = [spec for spec in space.layers if spec.coupling == layer.coupling] if factor == "filter" else [layer]
    return choices | {spec.name: LayerChoice(granularity=factor, keep_ratio=value) for spec in pruned}


def _distances(logits: Tensor, dense: Tensor) -> tuple[float, float]:
    """Squared error and clipped divergence, summed over images."""
    count = len(dense)
    divergence = float(clipped_kl(logits, dense).mean()) if dense.dim() > 1 else 0.0
    return count * float((logits - dense).square().mean()), count * divergence


def _batches(images: Tensor, size: int = FLOAT_BYTES) -> list[Tensor]:
    batches = images.split(images_at_once(images[0].numel(), size))
    return [batch.contiguous(memory_format=torch.channels_last) for batch in batches]


def _chunk_images(reference: Reference, images: Tensor, most_bytes: int) -> int:
    """How many images' stored tensors may be kept at once."""
    values, _ = reference.run(images[:1])
    return max(1, most_bytes // sum(tensor.nbytes for tensor in values.values()))
