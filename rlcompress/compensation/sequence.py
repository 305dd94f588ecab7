"""Weights fitted once more layer by layer, each to make up for what the compressed layers before it have changed.

The bank fits every layer to the dense network's inputs, so that errors add up from layer to layer. Here the layers are
taken in the order of execution: what the compressed network lacks behind a layer is regressed on the layer's inputs,
added to the weights that stay, and rounded again by the OBS sweep. Where a layer's output is added to a tensor that is
known by then it is the sum that counts, so that a residual branch makes up for the errors of the stream as well.

Fitting in sequence is that of channel pruning (He et al., ICCV 2017, eq. 6) and GPTQ (Frantar et al., ICLR 2023). But
regression on the compressed network's inputs shrinks weights, since these hold the noise of few bits, and regression on
the dense network's does not know what has become of them; inputs halfway between do best (docs/experiments.md).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.grad import conv2d_weight

from rlcompress.compensation.hessian import InputHessians
from rlcompress.compensation.local import InputMeans
from rlcompress.compensation.moments import removed_outputs
from rlcompress.compensation.obs import obs_sweep
from rlcompress.compensation.refit import refit
from rlcompress.compensation.rounded import RoundedLayer
from rlcompress.compensation.shrinkage import shrunk
from rlcompress.network.layers import WeightedLayer, bias_of, weighted
from rlcompress.network.operations import SUMS, operation
from rlcompress.pruning.statistics import damped_inverse
from rlcompress.quantization import QuantizedWeight, fit_scale, keep_codes, nearest_integer

_CHUNK = 32  # images
_TINY = torch.finfo(torch.float32).tiny
_CHECKED = 4  # one chunk in so many says how far to go
_KEPT = torch.bfloat16  # of values between two layers, which serve for statistics only: half the memory


@torch.no_grad()
def refit_in_sequence(
    network: fx.GraphModule, dense: fx.GraphModule, layers: Mapping[str, RoundedLayer], images: Tensor
) -> None:
    """Fit the weights of a compressed network to the dense one on unlabelled images, in place.

    Args:
        network: the compressed network, with a bias in each of the layers.
        dense: the dense network, a graph of the same nodes.
        layers: name -> its codes, which of them may change, and the largest; others stay as they are.
        images: [N, C, H, W] normalised; `refit_bytes` says what is kept of each.
    """
    have, want = _Prefix(network, images), _Prefix(dense, images, fixed=True)
    for place in _places(network, layers):
        have.run_to(place)
        want.run_to(place)
        name = str(have.nodes[place].target)
        layer = weighted(network, name)
        fitting, checking = _Sums(layer), _Sums(layer)
        for number, (x, y) in enumerate(zip(have.at(place), want.at(place), strict=True)):
            sums = checking if number % _CHECKED == _CHECKED - 1 else fitting
            sums.add(x[0], 0.5 * (x[0] + y[0]), y[1] - x[1], number, len(have))
        means = fitting.means()
        _fit(layer, layers[name], means, checking.means() if checking.positions else means)


def refit_bytes(network: fx.GraphModule, layers: Iterable[str]) -> int:
    """Bytes that `refit_in_sequence` keeps of an image at most, by the shapes that the graph was traced with."""
    nodes, last = list(network.graph.nodes), _last_readers(network)
    sizes = [math.prod((node.meta.get("shape") or (1, 0))[1:]) for node in nodes]

    def before(place: int) -> int:
        return sum(size for node, size in zip(nodes[:place], sizes[:place], strict=True) if last.get(node, 0) >= place)

    kept = (before(place) + max(before(place), before(place + 1)) for place in _places(network, layers))
    return _KEPT.itemsize * max(kept, default=0)


@dataclass(frozen=True, slots=True)
class _Means:
    """What some images say about one layer.

    Attributes:
        inputs: [G, D] means of its inputs.
        lack: [G, K / G] means of what its outputs lack.
        slope: [G, K / G, D] covariance of that with the inputs halfway to the dense network's.
        hessian: [G, D, D] second moments of those.
    """

    inputs: Tensor
    lack: Tensor
    slope: Tensor
    hessian: Tensor


class _Sums:
    """Adds up `_Means`, chunk of images by chunk.

    Attributes:
        positions: images and positions that were summed over.
    """

    def __init__(self, layer: WeightedLayer) -> None:
        self.positions = 0
        self._layer, self._hessians, self._inputs, self._between = layer, InputHessians(), InputMeans(), InputMeans()
        self._lack, self._slope = torch.zeros(len(layer.weight)), torch.zeros_like(layer.weight)

    def add(self, inputs: Tensor, between: Tensor, lack: Tensor, number: int, chunks: int) -> None:
        """Take in one chunk of several: the layer's inputs, those halfway, and what its outputs lack."""
        where = ("", self._layer)
        self._inputs.add(*where, inputs, number, chunks)
        self._between.add(*where, between, number, chunks)
        self._hessians.add(*where, between, number, chunks)
        self._slope += _products(self._layer, between, lack)
        self._lack += lack.transpose(0, 1).flatten(1).sum(1)
        self.positions += lack.numel() // lack.shape[1]

    def means(self) -> _Means:
        """Means over images and positions."""
        between, hessian = self._between.result()[""], self._hessians.result()[""]
        lack = (self._lack / self.positions).view(len(hessian), -1)
        slope = self._slope.reshape(*lack.shape, -1) / self.positions - lack[..., None] * between[:, None]
        hessian = shrunk(hessian, between, self._hessians.columns[""])
        return _Means(self._inputs.result()[""], lack, slope, hessian)


def _fit(layer: WeightedLayer, start: RoundedLayer, means: _Means, others: _Means) -> None:
    """Add to a layer's weights and bias what its outputs lack, as far as its inputs explain it on other images."""
    inverse = damped_inverse(means.hessian)
    weight, kept = (of.reshape(means.slope.shape) for of in (layer.weight, start.kept))
    change = refit(weight + (means.slope.double() @ inverse).float(), kept, means.hessian) - weight
    explained = (change * others.slope).sum(2) / ((change @ others.hessian) * change).sum(2).clamp_min(_TINY)
    fitted = weight + change * explained.clamp(0.0, 1.0)[..., None]
    scale = _better_scale(fitted.flatten(0, 1), start)
    power, nearest = means.hessian.diagonal(dim1=1, dim2=2), nearest_integer([start.limit])
    codes = obs_sweep(fitted, kept, scale.view(1, *kept.shape[:2]), nearest, power, inverse)
    rounded = QuantizedWeight(codes.view_as(start.kept).to(start.weight.codes.dtype), scale)
    left = means.lack - ((rounded.dequantized().reshape(weight.shape) - weight) @ means.inputs[..., None])[..., 0]
    bias_of(layer).add_(left.flatten().where(~removed_outputs(layer), 0.0))
    layer.weight.copy_(rounded.dequantized())
    keep_codes(layer, rounded)


def _better_scale(rows: Tensor, start: RoundedLayer) -> Tensor:
    """[K] the scale of least squared error of weights [K, D], their own from before or that of `fit_scale`.

    Codes of weights that stay as they were cannot come out better than by their own.
    """

    def error(scale: Tensor) -> Tensor:
        steps = scale[:, None]
        return ((rows / steps).round_().clamp_(-start.limit, start.limit) * steps - rows).square_().sum(1)

    own, fitted = start.weight.scale, fit_scale(rows, start.limit.bit_length() + 1)
    return torch.where(error(fitted) < error(own), fitted, own)


def _products(layer: WeightedLayer, inputs: Tensor, outputs: Tensor) -> Tensor:
    """Sums of outputs times the inputs that they are made of, of the weight's shape."""
    if isinstance(layer, nn.Linear):
        return outputs.T @ inputs
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(inputs, layer._reversed_padding_repeated_twice, mode)
    return conv2d_weight(padded, layer.weight.shape, outputs, layer.stride, 0, layer.dilation, layer.groups)


class _Prefix(fx.Interpreter):
    """A network that is run over chunks of images up to a node, and later on from there.

    Args:
        network: its layers may change once `at` has shown their inputs.
        images: [N, C, H, W].
        fixed: whether they do not, so that `at` computes their outputs once for all.
    """

    def __init__(self, network: fx.GraphModule, images: Tensor, *, fixed: bool = False) -> None:
        super().__init__(network, garbage_collect_values=False)
        self.nodes = list(network.graph.nodes)
        self._fixed = fixed
        self._last = _last_readers(network)
        chunks = (chunk.contiguous(memory_format=torch.channels_last) for chunk in images.split(_CHUNK))
        self._chunks: list[dict[fx.Node, Any]] = [{self.nodes[0]: chunk} for chunk in chunks]
        self._done = 1

    def __len__(self) -> int:
        """Number of chunks."""
        return len(self._chunks)

    def run_to(self, place: int) -> None:
        """Compute what stands before a node."""
        for number, chunk in enumerate(self._chunks):
            self.env = {node: _in(value, torch.float32) for node, value in chunk.items()}
            for node in self.nodes[self._done : place]:
                if node not in self.env:
                    self.env[node] = self.run_node(node)
            self._keep(number, self.env, place)
        self.env, self._done = {}, place

    def _keep(self, number: int, values: Mapping[fx.Node, Any], place: int) -> None:
        """Keep of a chunk what is read at a place and later."""
        read = {node: value for node, value in values.items() if self._last.get(node, 0) >= place}
        self._chunks[number] = {node: _in(value, _KEPT) for node, value in read.items()}

    def at(self, place: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Chunk by chunk the inputs of the layer at a place, and its outputs with what is added to them."""
        node = self.nodes[place]
        source, added = node.args[0], self._added(node)
        for number, chunk in enumerate(self._chunks):
            x = chunk[source].float()
            outputs = self.call_module(str(node.target), (x,), {})
            if self._fixed:
                self._keep(number, {**chunk, node: outputs}, place + 1)
            yield x, outputs if added is None else outputs + chunk[added].float()

    def _added(self, node: fx.Node) -> fx.Node | None:
        """The tensor of the same shape, known already, that a node's output is added to and nothing else."""
        user = next(iter(node.users), None)
        if user is None or len(node.users) > 1 or operation(user) not in SUMS or user.kwargs:
            return None
        others = [part for part in user.args if part is not node]
        other = others[0] if len(others) == 1 else None
        if not isinstance(other, fx.Node) or other not in self._chunks[0]:
            return None
        return other if other.meta.get("shape") == node.meta.get("shape") else None


def _places(network: fx.GraphModule, layers: Iterable[str]) -> list[int]:
    """Where in the order of execution the layers stand."""
    names = set(layers)
    return [i for i, node in enumerate(network.graph.nodes) if node.op == "call_module" and node.target in names]


def _last_readers(network: fx.GraphModule) -> dict[fx.Node, int]:
    """Node -> place of the last node that reads it."""
    return {operand: i for i, node in enumerate(network.graph.nodes) for operand in node.all_input_nodes}


def _in(value: Any, dtype: torch.dtype) -> Any:
    """A tensor of real numbers in some type; other things as they are."""
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
