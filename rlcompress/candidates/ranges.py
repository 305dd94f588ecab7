"""Activation ranges of the whole bank, tuned on what the network gives."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, fx

from rlcompress.candidates.judge import Judge
from rlcompress.candidates.template import quantizer_name, with_modules
from rlcompress.compensation import seen_size, tuned_ranges
from rlcompress.integer import Reference
from rlcompress.quantization import ActivationQuantizer, ActivationRange, fit_ranges
from rlcompress.spec import REFERENCE_BITS

_WIDTHS = (2, 3, 4, 5, 6, 7, 8, REFERENCE_BITS)
_IMAGES = 64
_MOST_VALUES = 128_000_000  # of stored tensors, which leaves fewer images of large ones

Ranges = Mapping[str, Mapping[int, ActivationRange]]
"""Stored tensor -> bit-width -> range."""


def fitted_ranges(samples: Mapping[str, Tensor], norm: float) -> Ranges:
    """Ranges of least error of the tensors themselves.

    Args:
        samples: from `rlcompress.candidates.samples.stored_samples`.
        norm: exponent of the error, see `fit_ranges`.
    """
    values = {name.removeprefix("values "): of for name, of in samples.items() if name.startswith("values ")}
    return {stored: fit_ranges(of, _WIDTHS, norm) for stored, of in values.items()}


@torch.no_grad()
def retuned_ranges(
    dense: fx.GraphModule,
    plain: fx.GraphModule,
    fitted: Ranges,
    images: Tensor,
    on_range: Callable[[int, int], None] | None = None,
) -> Ranges:
    """Ranges that are each tuned alone on the outputs, all else being at 8 bits.

    Args:
        dense: the network, with quantizers that pass everything through.
        plain: the same at 8 bits, nothing pruned, from `rlcompress.candidates.Candidates.stitch_locally`.
        fitted: from `fitted_ranges`.
        images: normalised [N, C, H, W]; the first ones are looked at, or their middles where outputs are pixels.
        on_range: called with (tensors done, tensors in all).
    """
    judge, reference = Judge(dense, _looked_at(dense, images)), Reference(plain)
    kept = [reference.run(batch)[0] for batch in judge.batches]

    def error(stored: str, tried: ActivationRange) -> float:
        changed = reference.changed(with_modules(plain, {quantizer_name(stored): ActivationQuantizer(tried)}))
        return judge.error_of(reference.outputs([changed], values)[0] for values in kept)

    tuned = {}
    for number, (stored, of) in enumerate(fitted.items(), 1):
        tuned[stored] = tuned_ranges(of, partial(error, stored))
        if on_range is not None:
            on_range(number, len(fitted))
    return tuned


def tuning_images(values: int) -> int:
    """How many images ranges are tuned on at most, where an image's stored tensors hold so many numbers."""
    return max(1, min(_IMAGES, _MOST_VALUES // values))


def tuning_values(values: int) -> int:
    """How many numbers stored tensors hold while ranges are tuned, at most, where an image's hold so many."""
    return max(values, min(_IMAGES * values, _MOST_VALUES))


def packed(ranges: Ranges) -> dict[str, Tensor]:
    """Ranges as float64 [widths, 3] by the names of stored tensors: scale, zero point, bits."""
    rows = {stored: [(r.scale, r.zero_point, r.bits) for r in of.values()] for stored, of in ranges.items()}
    return {stored: torch.tensor(of, dtype=torch.float64) for stored, of in rows.items()}


def unpacked(tensors: Mapping[str, Tensor]) -> Ranges:
    """What `packed` was given."""
    rows = {stored: tensor.tolist() for stored, tensor in tensors.items()}
    return {stored: {int(b): ActivationRange(s, int(z), int(b)) for s, z, b in of} for stored, of in rows.items()}


def _looked_at(dense: fx.GraphModule, images: Tensor) -> Tensor:
    size, seen = images.shape[2:], seen_size(dense, images[:1])
    top, left = ((of - part) // 2 for of, part in zip(size, seen, strict=True))
    traced = next(node for node in dense.graph.nodes if node.op == "placeholder").meta["shape"][2:]
    count = tuning_images(math.ceil(_stored_values(dense) * math.prod(seen) / math.prod(traced)))
    return images[:count, :, top : top + seen[0], left : left + seen[1]]


def _stored_values(dense: fx.GraphModule) -> int:
    """Numbers of an image of the size that the graph was traced with that the stored tensors hold together."""
    calls = dense.graph.find_nodes(op="call_module")
    stored = (n for n in calls if isinstance(dense.get_submodule(str(n.target)), ActivationQuantizer))
    return sum(math.prod(node.meta["shape"][1:]) for node in stored)
