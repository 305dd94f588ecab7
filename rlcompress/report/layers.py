"""The policy layer by layer, beside each operator's energy before and after."""

from dataclasses import dataclass

from rlcompress.hw_models import LayerCost
from rlcompress.report.costs import Costs, saved_pct
from rlcompress.report.headline import number

_VISIBLE = 0.01  # share of the network's energy


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of an energy bar: memory level, width in percent of the widest bar, and energy in words."""

    level: str
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One operator.

    Attributes:
        name: full module name.
        shape: kind and dimensions in words.
        granularity: of the pruning; None for an operator that a policy has no choice for, or without a policy.
        keep_ratio: share that stays.
        weight_bits: of the weights.
        clustered: whether these are bits of indices into a codebook.
        activation_bits: of the inputs.
        bars: title -> segments, dense first.
        totals: title -> energy in words.
        saved: percent of the energy saved, in words; empty without a policy.
    """

    name: str
    shape: str
    granularity: str | None
    keep_ratio: float
    weight_bits: int
    clustered: bool
    activation_bits: int
    bars: dict[str, list[Segment]]
    totals: dict[str, str]
    saved: str


def layer_rows(costs: Costs) -> list[LayerRow]:
    """Every operator with weights, and those without that cost a visible share, in execution order."""
    columns = {title: cost for title, cost in (("before", costs.dense), ("after", costs.policy)) if cost is not None}
    widest = max((layer.total_pj for cost in columns.values() for layer in cost.layers), default=0.0) or 1.0
    rows = []
    for i, spec in enumerate(costs.specs):
        layers = {title: cost.layers[i] for title, cost in columns.items()}
        if not spec.compressible and all(
            layer.total_pj <= _VISIBLE * cost.energy_uj * 1e6
            for layer, cost in zip(layers.values(), columns.values(), strict=True)
        ):
            continue
        choice = costs.choices.get(spec.name)
        before, after = layers["before"], layers.get("after")
        rows.append(
            LayerRow(
                name=spec.name,
                shape=_shape(before),
                granularity=choice.granularity if choice else None,
                keep_ratio=choice.keep_ratio if choice else 1.0,
                weight_bits=choice.weight_bits if choice else before.weight_bits,
                clustered=choice is not None and choice.weight_quantizer == "clustered",
                activation_bits=choice.activation_bits if choice else before.activation_bits,
                bars={title: _segments(layer, costs.levels, widest) for title, layer in layers.items()},
                totals={title: number(layer.total_pj * 1e-6) for title, layer in layers.items()},
                saved=f"{saved_pct(before.total_pj, after.total_pj):.0f} %" if after else "",
            )
        )
    return rows


def _shape(layer: LayerCost) -> str:
    k, c, p, q, r, s = layer.shape
    if layer.kind in ("conv", "depthwise"):
        return f"{layer.kind} {r}×{s}, {c} to {k} channels, {p}×{q}"
    return f"{layer.kind}, {c} to {k}" if layer.kind in ("linear", "matmul") else f"{layer.kind}, {k} channels, {p}×{q}"


def _segments(layer: LayerCost, levels: tuple[str, ...], widest: float) -> list[Segment]:
    return [
        Segment(level, 100 * layer.energy_pj[level] / widest, f"{level} {number(layer.energy_pj[level] * 1e-6)}")
        for level in levels
        if layer.energy_pj[level] > 0
    ]
