"""How much the network's output suffers from one thing done to one layer alone."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from rlcompress.candidates import Candidates
from rlcompress.candidates.template import quantizer_name
from rlcompress.compensation import Moments, affine_to, removed_outputs
from rlcompress.evaluation.metrics import clipped_kl
from rlcompress.network.layers import bias_of, column, weighted
from rlcompress.planning.space import ChoiceSpace
from rlcompress.spec import LayerChoice

_BITS = (2, 3, 4, 5, 6, 8)
_KEEP_RATIOS = (0.8, 0.6, 0.4, 0.2)


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
) -> list[SensitivityRow]:
    """Measure every factor of every layer on images [N, C, H, W], with moments corrected as in `Candidates.stitch`.

    The dense activations before the changed layer are computed once, and only what follows it is run again.

    Args:
        bank: where the compressed layers come from.
        space: the layers, granularities and ties.
        images: normalised training images.
        on_row: called with (rows done, rows in all).
        most_bytes: that the dense activations may take at a time; one image's are held whatever they take.
    """
    changes = list(_changes(space))
    graph = bank.template()
    totals = [[0.0, 0.0] for _ in changes]
    chunks = images.split(_chunk_images(graph, images, most_bytes))
    for number, chunk in enumerate(chunks):
        suffix = _Suffix(graph, chunk.contiguous(memory_format=torch.channels_last), bank.network.layers)
        for i, (layer, factor, value) in enumerate(changes):
            logits = _changed_logits(bank, space, suffix, space.layers[layer].name, factor, value)
            mse, kl = _distances(logits, suffix.logits)
            totals[i][0] += mse * len(chunk) / len(images)
            totals[i][1] += kl * len(chunk) / len(images)
            if on_row is not None:
                on_row(number * len(changes) + i + 1, len(chunks) * len(changes))
    rows = zip(changes, totals, strict=True)
    return [SensitivityRow(space.layers[c[0]].name, c[1], c[2], mse, kl) for c, (mse, kl) in rows]


def covers(rows: Sequence[SensitivityRow], space: ChoiceSpace) -> bool:
    """Whether rows are what `measure_sensitivity` measures for a space, so that they can stand for measuring again."""
    wanted = [(space.layers[i].name, factor, value) for i, factor, value in _changes(space)]
    finite = all(math.isfinite(row.logit_mse) and math.isfinite(row.kl) for row in rows)
    return finite and [(row.layer, row.factor, row.value) for row in rows] == wanted


def _changes(space: ChoiceSpace) -> Iterator[tuple[int, str, float]]:
    """(layer position, factor, value) of everything to measure."""
    for i in range(len(space.layers)):
        yield from ((i, "weight_bits", float(b)) for b in _BITS)
        if space.reader[i] == i:
            yield from ((i, "activation_bits", float(b)) for b in _BITS)
        for granularity in space.allowed(i)[1:]:
            if granularity != "filter" or space.leader[i] == i:
                yield from ((i, granularity, r) for r in _measured(space.ratios(granularity)))


def _measured(ratios: Sequence[float]) -> list[float]:
    """The least of the offered keep ratios, below which the proxy knows of no further harm, and a few others."""
    return [r for i, r in enumerate(ratios) if i == 0 or len(ratios) <= len(_KEEP_RATIOS) or r in _KEEP_RATIOS]


def _changed_logits(
    bank: Candidates, space: ChoiceSpace, suffix: "_Suffix", layer: str, factor: str, value: float
) -> Tensor:
    if factor == "activation_bits":
        return suffix.with_rounded_input(bank.network.reads[layer], bank.range(layer, int(value)))
    choices = {spec.name: LayerChoice() for spec in space.layers}
    changed = [layer]
    if factor == "weight_bits":
        choices[layer] = LayerChoice(weight_bits=int(value))
    else:
        if factor == "filter":
            group = bank.network.layers[layer].coupling
            changed = [spec.name for spec in space.layers if spec.coupling == group]
        for name in changed:
            choices[name] = LayerChoice(granularity=factor, keep_ratio=value)
    weights = {name: bank.weights(name, choices).dequantized() for name in changed}
    return suffix.with_weights(weights, removes_outputs=factor == "filter")


class _Suffix(fx.Interpreter):
    """Runs a graph again from the first changed node on, given the dense values of all nodes before it."""

    def __init__(self, graph: fx.GraphModule, images: Tensor, layers: Iterable[str]) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.nodes = list(graph.graph.nodes)
        self.position = {node: i for i, node in enumerate(self.nodes)}
        self.of_module = {str(node.target): node for node in self.nodes if node.op == "call_module"}
        self.dense: dict[fx.Node, Tensor] | None = None
        with torch.no_grad():
            self.images = images
            self.logits: Tensor = self.run(images)
        self.dense = dict(self.env)
        self.moments = {self.of_module[name]: Moments.of(self.dense[self.of_module[name]]) for name in layers}

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if self.dense is None or n not in self.moments:
            return result
        assert isinstance(result, Tensor)
        removed = removed_outputs(weighted(self.module, str(n.target)))
        gain, shift = affine_to(Moments.of(result), self.moments[n], removed)
        return result * column(gain, result, dim=1) + column(shift, result, dim=1)

    def _from(self, node: fx.Node) -> Tensor:
        assert self.dense is not None
        before = {n: self.dense[n] for n in self.nodes[: self.position[node]]}
        with torch.no_grad():
            logits = self.run(self.images, initial_env=before)
        assert isinstance(logits, Tensor)
        return logits

    def with_weights(self, weights: dict[str, Tensor], *, removes_outputs: bool) -> Tensor:
        """Logits after some layers' weights are exchanged; removed outputs lose their bias as well."""
        kept = {name: self._exchange(name, weight, removes_outputs) for name, weight in weights.items()}
        try:
            return self._from(min((self.of_module[name] for name in weights), key=self.position.__getitem__))
        finally:
            for name, (weight, bias) in kept.items():
                layer = weighted(self.module, name)
                layer.weight.data, bias_of(layer).data = weight, bias

    def _exchange(self, name: str, weight: Tensor, removes_outputs: bool) -> tuple[Tensor, Tensor]:
        layer = weighted(self.module, name)
        before = layer.weight.data, bias_of(layer).data
        layer.weight.data = weight.contiguous(memory_format=torch.channels_last) if weight.dim() == 4 else weight
        if removes_outputs:
            bias_of(layer).data = before[1] * (weight.flatten(1) != 0).any(1)
        return before

    def with_rounded_input(self, stored: str, at: object) -> Tensor:
        """Logits after a stored tensor is rounded."""
        quantizer = self.module.get_submodule(quantizer_name(stored))
        quantizer.range = at  # type: ignore[assignment]
        try:
            return self._from(self.of_module[quantizer_name(stored)])
        finally:
            quantizer.range = None  # type: ignore[assignment]


def _distances(logits: Tensor, dense: Tensor) -> tuple[float, float]:
    mse = float((logits - dense).square().mean())
    return mse, float(clipped_kl(logits, dense).mean())


def _chunk_images(graph: fx.GraphModule, images: Tensor, most_bytes: int) -> int:
    """How many images to run at once, so that all values of the graph on them take at most so many bytes."""
    shapes = [node.meta.get("shape") or () for node in graph.graph.nodes]
    values = sum(math.prod(shape[1:]) for shape in shapes if shape)
    traced = math.prod(next(shape for shape in shapes if shape)[1:])
    share = images[0].numel() / traced  # networks that give images take other sizes than they were traced with
    return max(1, min(64, int(most_bytes / (4 * values * share))))
