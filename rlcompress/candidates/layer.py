"""One compressed layer: prune, refit, round, with the error compensated inside the layer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rlcompress.compensation import by_stage, obs_sweep, refit, stages
from rlcompress.pruning import CRITERIA, GRANULARITY_MASKS, LayerStatistics
from rlcompress.quantization import (
    QuantizedWeight,
    Rounding,
    fit_codebook,
    fit_scale,
    largest_code,
    nearest_entry,
    nearest_integer,
)
from rlcompress.spec import keep_count

_AT_ONCE = ("none", "pattern", "filter")
"""Granularities of which no weight goes before another."""
_KEEP_RATIOS = {"n:m": (0.75, 0.5, 0.25)}
_OTHERS = (0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1)  # where the error grows, finer


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A layer before compression.

    Attributes:
        weight: [K, C / G, R, S] or [K, C] float32 with BatchNorm folded.
        hessian: [G, D, D] second moments of the inputs that a row of the weight sees.
        gradient: root mean square of the loss's gradient, of the weight's shape, where the criterion asks for it.
    """

    weight: Tensor
    hessian: Tensor
    gradient: Tensor | None = None

    @property
    def grouped(self) -> Tensor:
        """The weight as [G, K / G, D]."""
        return self._grouped(self.weight)

    @property
    def statistics(self) -> LayerStatistics:
        """What importance criteria look at, of the whole layer."""
        gradient = None if self.gradient is None else self._grouped(self.gradient)
        return LayerStatistics(self.grouped, self.hessian, self.weight.shape[1], gradient)

    def _grouped(self, tensor: Tensor) -> Tensor:
        return tensor.reshape(len(self.hessian), -1, self.hessian.shape[1])


@dataclass(frozen=True, slots=True)
class Pruning:
    """How weights of one layer are removed.

    Attributes:
        granularity: name in `rlcompress.pruning.GRANULARITY_MASKS`.
        keep_ratio: share that stays, of the weights between the channels that stay.
        criterion: name in `rlcompress.pruning.CRITERIA`, which of them go.
        round_to: where input channels go, a multiple of it stays.
    """

    granularity: str
    keep_ratio: float
    criterion: str
    round_to: int = 1

    @property
    def gradual(self) -> bool:
        """Whether `stages_of` says which weights go first."""
        return self.granularity not in _AT_ONCE

    def mask(self, importance: Tensor, inputs: int) -> Tensor:
        """[G, K / G, D] boolean, True where a weight stays, by an importance of that shape and the inputs C / G."""
        ratio, split = self.keep_ratio, importance.flatten(0, 1).unflatten(1, (inputs, -1))
        if self.granularity == "channel":
            ratio = keep_count(inputs, ratio, self.round_to) / inputs
        return GRANULARITY_MASKS[self.granularity](split, ratio).reshape(importance.shape)


def stages_of(layer: DenseLayer, outputs: Tensor, inputs: Tensor, pruning: Pruning) -> Tensor:
    """`stages` of what is left of a layer, for `compress` with the same channels, granularity and criterion."""
    rest = _rest(layer, outputs, inputs)

    def mask(importance: Tensor, keep_ratio: float) -> Tensor:
        return replace(pruning, keep_ratio=keep_ratio).mask(importance, rest.inputs)

    return stages(rest, CRITERIA[pruning.criterion], mask, _KEEP_RATIOS.get(pruning.granularity, _OTHERS))


def importance(layer: DenseLayer, criterion: str) -> Tensor:
    """[K, D] importance of every weight."""
    return CRITERIA[criterion](layer.statistics).flatten(0, 1)


def compress(
    layer: DenseLayer,
    outputs: Tensor,
    inputs: Tensor,
    pruning: Pruning,
    widths: Sequence[int],
    *,
    quantizer: str = "uniform",
    compensated: bool = True,
    count: Tensor | None = None,
) -> dict[int, QuantizedWeight]:
    """Compress one layer at several weight widths at once.

    The weights that stay are fitted by least squares, first without the inputs that were removed, then without the
    weights that the mask removes; last they are rounded by the OBS sweep.

    Args:
        layer: the dense layer.
        outputs: [K] boolean, output channels that stay.
        inputs: [C / G] boolean, input channels that stay.
        pruning: which weights go among those channels.
        widths: weight bits.
        quantizer: name in `rlcompress.spec.WEIGHT_QUANTIZERS`.
        compensated: otherwise weights that stay keep their values, and are rounded to the nearest code.
        count: from `stages_of`, by which weights go first, and by the criterion those that go together.

    Returns:
        Bits -> codes of the full shape, 0 where removed; scales of removed outputs are 1.
    """
    rest = _rest(layer, outputs, inputs, compensated=compensated)
    weight, hessian = rest.weight, rest.hessian
    mask = pruning.mask(_importance(rest, pruning, count), rest.inputs)
    weight = refit(weight, mask, hessian) if compensated else weight * mask
    if quantizer == "clustered":
        importance = hessian.diagonal(dim1=1, dim2=2)[:, None] if compensated else torch.ones(())
        scale, nearest = _codebooks(weight, mask, importance, widths)
    else:
        scale = torch.stack([fit_scale(weight.flatten(0, 1), bits) for bits in widths])
        nearest = nearest_integer([largest_code(bits) for bits in widths])
    steps = scale.view(len(widths), *weight.shape[:2])
    if compensated:
        codes = obs_sweep(weight, mask, steps, nearest, hessian.diagonal(dim1=1, dim2=2), rest.inverse)
    else:
        codes = nearest(weight / steps[..., None])
    codes = codes.flatten(1, 2)
    live = outputs[:, None] & _columns(layer, inputs)
    return {bits: _scattered(layer, live, codes[i], scale[i], bits) for i, bits in enumerate(widths)}


def _rest(layer: DenseLayer, outputs: Tensor, inputs: Tensor, *, compensated: bool = True) -> LayerStatistics:
    """What is left of a layer without some channels, its weights making up for the inputs that were removed."""
    groups, per_group, _ = layer.grouped.shape
    live_rows = outputs.view(groups, per_group)
    alive = live_rows.any(1)  # with one group: the layer; depthwise: the channels that stay
    rows = live_rows[alive][0] if groups == 1 else slice(None)
    columns = _columns(layer, inputs)
    weight, hessian = layer.grouped[alive][:, rows], layer.hessian[alive]
    if compensated:
        weight = refit(weight, columns.expand_as(weight), hessian)
    gradient = layer.statistics.gradient
    if gradient is not None:
        gradient = gradient[alive][:, rows][..., columns]
    return LayerStatistics(weight[..., columns], hessian[:, columns][:, :, columns], int(inputs.sum()), gradient)


def _columns(layer: DenseLayer, inputs: Tensor) -> Tensor:
    """[D] boolean, which weights of a row see inputs [C / G] that stay."""
    return inputs.repeat_interleave(layer.hessian.shape[1] // len(inputs))


def _importance(layer: LayerStatistics, pruning: Pruning, count: Tensor | None) -> Tensor:
    if pruning.granularity in ("none", "filter"):
        return layer.weight  # which no mask looks at
    own = CRITERIA[pruning.criterion](layer)
    return own if count is None else by_stage(count, own)


def _codebooks(weight: Tensor, mask: Tensor, importance: Tensor, widths: Sequence[int]) -> tuple[Tensor, Rounding]:
    """[Q, K] scales, and the rounding to the entries of a codebook of each width."""
    rows, zero = weight.flatten(0, 1), not bool(mask.all())
    each = importance.expand_as(weight).flatten(0, 1)
    books, scales = zip(*(fit_codebook(rows, each, bits, zero=zero) for bits in widths), strict=True)
    return torch.stack(scales), nearest_entry(books)


def _scattered(layer: DenseLayer, live: Tensor, codes: Tensor, scale: Tensor, bits: int) -> QuantizedWeight:
    """Codes and scales of what is left, [K, D] boolean, among zeros and ones."""
    full = torch.zeros(live.shape, dtype=torch.int8 if bits <= 8 else torch.int16)
    full.masked_scatter_(live, codes.to(full.dtype))
    scales = torch.ones(len(live))
    scales[live.any(1)] = scale
    return QuantizedWeight(full.view(layer.weight.shape), scales)
