"""`lower`: from a stitched network to an integer network."""

import math
from collections import ChainMap
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from rlcompress.errors import NetworkError, RunError
from rlcompress.integer.channels import Codes, Layer, Place, of_rows
from rlcompress.integer.engines import Engine, IntegerConv, Step
from rlcompress.integer.network import IntegerNetwork, Program
from rlcompress.integer.onednn import OneDnnEngine, int8_works
from rlcompress.integer.patterns import Patterns
from rlcompress.integer.portable import CudaEngine, PortableEngine
from rlcompress.integer.semantics import Bounds, requantization
from rlcompress.integer.steps import (
    Affine,
    Apply,
    AsImage,
    AverageCodes,
    AverageReal,
    Constant,
    Load,
    MaxPool,
    Pad,
    Store,
)
from rlcompress.network.layers import WeightedLayer
from rlcompress.network.operations import attribute
from rlcompress.quantization import ActivationQuantizer, ActivationRange, integer_weight

ENGINES = ("auto", "portable", "int8", "cuda")
"""What may execute an integer network; ``auto`` takes int8 where it works, else portable."""

_WIDEST = 8  # bits of a code


def engine_named(name: str) -> Engine:
    """The engine of a name.

    Raises:
        RunError: it is unknown, or does not work on this machine.
    """
    if name not in ENGINES:
        raise RunError(f"unknown engine {name!r}; choose from {', '.join(ENGINES)}")
    if name == "cuda":
        if not torch.cuda.is_available():
            raise RunError("engine 'cuda' finds no GPU on this machine; choose portable or auto")
        return CudaEngine()
    if name == "portable" or (name == "auto" and not int8_works()):
        return PortableEngine()
    if not int8_works():
        raise RunError("engine 'int8' does not work on this machine; choose portable or auto")
    return OneDnnEngine()


@torch.no_grad()
def lower(stitched: fx.GraphModule, *, engine: str = "auto") -> IntegerNetwork:
    """The integer network that a stitched network describes.

    Args:
        stitched: from `rlcompress.candidates.Candidates.stitch`: activation quantizers with ranges, layers with codes
            and scales.
        engine: name in `ENGINES`; the outputs do not depend on it.

    Returns:
        A module that maps normalised images [N, C, H, W] to float32 outputs; later changes of ``stitched`` do not
        reach its layers.

    Raises:
        RunError: the engine is unknown or does not work here, or weights or activations have more than 8 bits.
        NetworkError: the network does not return a single tensor.
    """
    chosen = engine_named(engine)
    program, output = lowered(stitched, chosen)
    return IntegerNetwork(program, output, chosen)


@torch.no_grad()
def lowered(stitched: fx.GraphModule, engine: Engine) -> tuple[Program, int]:
    """The same as a program of one engine's steps, with the number of the value that it returns."""
    return Lowering(stitched, engine).run()


class Lowering:
    """Emits each value of a graph once, as codes or as real numbers.

    Args:
        graph: a stitched network.
        engine: that executes it.
        base: a lowering of a network of the same graph that this one goes on from, or None.

    Attributes:
        program: what is emitted.
        is_: what nodes are.
        steps: by what they were prepared from, for layers that have all their channels.
    """

    def __init__(self, graph: fx.GraphModule, engine: Engine, base: "Lowering | None" = None) -> None:
        self.graph = graph
        self.engine = engine
        self._base = base
        self.program: Program = Program(values=base.program.values if base else 1)
        self.is_: Patterns = Patterns(graph, base.is_ if base else None)
        self.emitted: dict[object, Any] = {}
        self.steps: MutableMapping[object, Step] = ChainMap({}, base.steps) if base else {}

    def take(self, stored: Iterable[fx.Node]) -> Self:
        """Take the codes of stored tensors (nodes that round) from the base."""
        if self._base is not None:
            self.emitted.update(((node, "codes"), self._base.codes(node)) for node in stored)
        return self

    def run(self) -> tuple[Program, int]:
        """The program with the number of the value that it returns."""
        result = None
        for node in self.graph.graph.nodes:  # in order of execution, so that recursion stays within a block
            if node.op == "output":
                result = node.args[0]
            elif isinstance(self.is_.module(node), ActivationQuantizer):
                self.codes(node)
        if not isinstance(result, fx.Node):
            raise NetworkError("the network returns several values; wrap it in a module that returns one tensor")
        output = self.real(result)
        self.engine.finish()
        return self.program, output

    def _once(self, key: object, emit: Callable[[], Any]) -> Any:
        if key not in self.emitted:
            self.emitted[key] = emit()
        return self.emitted[key]

    def codes(self, node: object) -> Codes | None:
        """The codes of a stored tensor or a view of one; None for other nodes."""
        return self._once((node, "codes"), lambda: self._codes(node)) if isinstance(node, fx.Node) else None

    def _codes(self, node: fx.Node) -> Codes | None:
        module, source = self.is_.module(node), node.args[0] if node.args else None
        if isinstance(module, ActivationQuantizer):
            assert isinstance(source, fx.Node)
            return self.store(source, _checked(node, module))
        codes = self.codes(source) if self._commutes(node) and not node.meta.get("plain") else None
        return codes and self._moved(node, codes)

    def whole(self, codes: Codes) -> Codes:
        """The same codes with all channels."""
        if codes.alive is None:
            return codes
        place = Place(codes.alive, torch.ones_like(codes.alive), codes.at.zero_point)
        return Codes(self._once((codes.value, "whole"), lambda: self.program.add(place, codes.value)), codes.at)

    def store(self, node: fx.Node, at: ActivationRange, low: float = -math.inf, high: float = math.inf) -> Codes:
        """The codes of a node's value between two real bounds, at a range."""
        codes = self._once((node, at, low, high), lambda: self._store(node, at, low, high))
        assert isinstance(codes, Codes)
        return codes

    def _store(self, node: fx.Node, at: ActivationRange, low: float, high: float) -> Codes:
        clamp, source = self.is_.clamp(node), node.args[0] if node.args else None
        if clamp is not None:
            assert isinstance(source, fx.Node)
            return self.store(source, at, max(low, clamp[0]), min(high, clamp[1]))
        if self.is_.is_concatenation(node):
            return self._joined(node, {part: self.store(part, at, low, high) for part in node.all_input_nodes})
        bounds = Bounds.of(at, low, high)
        if self._commutes(node) and isinstance(source, fx.Node) and bounds.low <= at.zero_point <= bounds.high:
            return self._moved(node, self.store(source, at, low, high))
        layer = self._integer_layer(node)
        if layer is not None and not layer.outgrows(at):
            return self._requantized(layer, at, bounds)
        pair = self._layer_and_residual(node)
        if pair is not None and not pair[0].outgrows(at):
            return self._requantized(pair[0], at, bounds, pair[1])
        store = Store(at, bounds, self.engine.code_type)
        return Codes(self.program.add(store, self._real_to_store(node, at)), at)

    def _real_to_store(self, node: fx.Node, at: ActivationRange) -> int:
        window = self.is_.window(node)
        if window is None or self.codes(node.args[0]) is not None:
            return self.real(node)
        source = node.args[0]
        assert isinstance(source, fx.Node)
        return self.program.add(AverageReal(window, at), self.real(source))

    def _commutes(self, node: fx.Node) -> bool:
        """Whether a node does to codes what it does to values; padding holds the zero point."""
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node) or source.meta.get("plain"):
            return False
        if source.meta.get("shape") is None and not self.is_.is_move(source):  # one of several outputs
            return False
        moves = self.is_.is_same(node) or self.is_.is_move(node) or self.is_.is_max_pool(node)
        return moves or self.is_.zero_pads(node) is not None

    def _moved(self, node: fx.Node, codes: Codes) -> Codes:
        if self.is_.is_same(node):
            return codes
        pads, source = self.is_.zero_pads(node), node.args[0]
        assert isinstance(source, fx.Node)
        if pads is not None:
            return self._padded(pads, codes, source)
        if self.is_.is_max_pool(node):
            pool = MaxPool(Apply(self._function(node), node, real=False))
            return replace(codes, value=self.program.add(pool, codes.value))
        if not self.is_.keeps_channels(node):
            codes = self.whole(codes)
        return replace(codes, value=self._applied(node, {source: codes.value}))

    def _padded(self, pads: tuple[int, ...], codes: Codes, source: fx.Node) -> Codes:
        """Zeros around the image; those before and after the channels are only noted."""
        shape = source.meta["shape"]
        dims = 2 * (len(shape) - 2)
        channels, rest = pads[dims : dims + 2], pads[:dims]
        if len(pads) > dims + 2 or min(channels, default=0) < 0:
            codes = self.whole(codes)
            return replace(codes, value=self.program.add(Pad(pads, codes.at.zero_point), codes.value))
        if any(channels):
            alive = torch.ones(shape[1], dtype=torch.bool) if codes.alive is None else codes.alive
            codes = replace(codes, alive=functional.pad(alive, channels))
        if any(rest):
            codes = replace(codes, value=self.program.add(Pad(rest, codes.at.zero_point), codes.value))
        return codes

    def _joined(self, node: fx.Node, parts: dict[fx.Node, Codes]) -> Codes:
        wholes = {part: self.whole(codes) for part, codes in parts.items()}
        joined = self._applied(node, {part: codes.value for part, codes in wholes.items()})
        return Codes(joined, next(iter(wholes.values())).at)

    def _applied(self, node: fx.Node, known: dict[fx.Node, int], *, real: bool = False) -> int:
        """The node's own function on values that are known, and on the real values of its other operands."""
        operands = [known[part] if part in known else self.real(part) for part in node.all_input_nodes]
        return self.program.add(Apply(self._function(node), node, real=real), *operands, aliases=True)

    def _function(self, node: fx.Node) -> Callable[..., Any]:
        if node.op == "call_module":
            return self.graph.get_submodule(str(node.target))
        if node.op == "call_method":
            return lambda x, *args, **kwargs: getattr(x, str(node.target))(*args, **kwargs)
        assert callable(node.target)
        return node.target

    def _integer_layer(self, node: object) -> Layer | None:
        """The layer that a node calls on codes, if there is an integer rule for it."""
        module = self.is_.module(node) if isinstance(node, fx.Node) else None
        if not isinstance(module, nn.Conv2d | nn.Linear) or not isinstance(node, fx.Node):
            return None
        weight, source = integer_weight(module), self.codes(node.args[0])
        if weight is None or source is None:
            return None
        if weight.codes.dtype != torch.int8:
            raise RunError(f"layer {node.target!r}: weights of more than {_WIDEST} bits have no integer codes")
        conv = convolution(module, weight.codes, source.at, str(node.target))
        return Layer(module, conv, weight.scale, source) if conv else None

    def _layer_and_residual(self, node: fx.Node) -> tuple[Layer, Codes] | None:
        """A layer's output and stored codes of its shape whose sum a node is."""
        operands = self.is_.summands(node)
        if operands is None or len({part.meta.get("shape") for part in operands}) > 1:
            return None
        for one, other in (operands, operands[::-1]):
            layer, residual = self._integer_layer(one), self.codes(other)
            if layer is not None and residual is not None and not isinstance(layer.module, nn.Linear):
                return layer, residual
        return None

    def _requantized(self, layer: Layer, at: ActivationRange, bounds: Bounds, residual: Codes | None = None) -> Codes:
        key = (layer.module, meaning(layer.source), at, bounds, residual and meaning(residual))
        if key in self.steps:
            return self._emitted(self.steps[key], layer.source, at, residual)
        to = requantization(layer.scale, layer.bias, layer.source.at, at, bounds, residual.at if residual else None)
        layer, rows = self._fitting(layer, residual, droppable=bounds.low <= at.zero_point <= bounds.high)
        step = self._step(layer, self.engine.requantized(layer.thinned(rows), of_rows(to, rows)))
        if rows is None and layer.source.alive is None:
            self.steps[key] = step
        return self._emitted(step, layer.source, at, residual, rows)

    def _emitted(
        self, step: Step, source: Codes, at: ActivationRange, residual: Codes | None, rows: Tensor | None = None
    ) -> Codes:
        """The output, of some rows or of all, of a step that reads codes."""
        if residual is None:
            return Codes(self.program.add(step, source.value), at, rows)
        added = self._with_channels(residual, rows)
        taken = added if self.engine.overwrites_residuals else None
        return Codes(self.program.add(step, source.value, added, overwrites=taken), at, rows)

    def _fitting(self, layer: Layer, residual: Codes | None, *, droppable: bool) -> tuple[Layer, Tensor | None]:
        """A layer whose input has the channels that it needs, and the rows [K] of it to compute, None for all."""
        rows = layer.live_rows if droppable else None
        if residual is not None:
            rows = _either(rows, residual.alive)
        if layer.follows(rows):
            return layer, layer.source.alive
        if layer.conv.groups > 1:
            return replace(layer, source=self.whole(layer.source)), None
        return layer, rows if rows is not None and bool(rows.any()) else None

    def _with_channels(self, codes: Codes, rows: Tensor | None) -> int:
        """The codes of some channels, those that there are among them, or of all."""
        if rows is None:
            return self.whole(codes).value
        assert codes.alive is not None
        if torch.equal(codes.alive, rows):
            return codes.value
        return self.program.add(Place(codes.alive, rows, codes.at.zero_point), codes.value)

    def _step(self, layer: Layer, conv: Step) -> Step:
        return AsImage(conv) if isinstance(layer.module, nn.Linear) else conv

    def real(self, node: fx.Node) -> int:
        """The real value of a node."""
        return int(self._once((node, "real"), lambda: self._real(node)))

    def _real(self, node: fx.Node) -> int:
        if node.op == "placeholder":
            return 0
        if node.op == "get_attr":
            return self.program.add(Constant(attribute(self.graph, node)))
        if node.meta.get("plain"):  # sizes are those of the codes
            stored = {part: self.codes(part) for part in node.all_input_nodes}
            return self._applied(node, {part: self.whole(codes).value for part, codes in stored.items() if codes})
        codes = self.codes(node)
        if codes is not None:
            return self.program.add(Load(codes.at), self.whole(codes).value)
        layer = self._integer_layer(node)
        if layer is not None:
            return self._affine(layer)
        window = self.is_.window(node)
        averaged = self.codes(node.args[0]) if window is not None else None
        if window is not None and averaged is not None:
            return self.program.add(AverageCodes(window, averaged.at), self.whole(averaged).value)
        return self._elementwise(node) or self._applied(node, {}, real=True)

    def _affine(self, layer: Layer) -> int:
        key = (layer.module, meaning(layer.source))
        if key in self.steps:
            return self.program.add(self.steps[key], layer.source.value)
        layer, rows = self._fitting(layer, None, droppable=True)
        accumulator = self._step(layer, self.engine.accumulator(layer.thinned(rows)))
        scale, bias = (layer.scale.double() * layer.source.at.scale).float(), layer.bias.clone()
        if rows is not None:
            value = self.program.add(Affine(accumulator, scale[rows], bias[rows]), layer.source.value)
            return self.program.add(Place(rows, torch.ones_like(rows), 0), value)
        step = Affine(accumulator, scale, bias)
        if layer.source.alive is None:
            self.steps[key] = step
        return self.program.add(step, layer.source.value)

    def _elementwise(self, node: fx.Node) -> int | None:
        """Sums and clamps of real values, which need no copies; None for other nodes."""
        operands, clamp = self.is_.summands(node), self.is_.clamp(node)
        if operands is not None:
            return self.program.add(torch.add, *map(self.real, operands))
        if clamp is not None:
            source = node.args[0]
            assert isinstance(source, fx.Node)
            return self.program.add(partial(torch.clamp, min=clamp[0], max=clamp[1]), self.real(source))
        return None


def convolution(layer: WeightedLayer, codes: Tensor, source: ActivationRange, name: str) -> IntegerConv | None:
    """A layer as a convolution of codes; None where it pads by anything but as many zeros on either side."""
    largest = 2**source.bits - 1
    if isinstance(layer, nn.Linear):
        return IntegerConv(codes[:, :, None, None], source.zero_point, largest, name=name)
    left, right, top, bottom = layer._reversed_padding_repeated_twice  # resolves "same", too
    if layer.padding_mode != "zeros" or left != right or top != bottom:
        return None
    stride, dilation = _pair(layer.stride), _pair(layer.dilation)
    return IntegerConv(codes, source.zero_point, largest, stride, (top, left), dilation, layer.groups, name)


def _either(rows: Tensor | None, others: Tensor | None) -> Tensor | None:
    """The channels [K] that are among some or among others, None standing for all."""
    if rows is None or others is None:
        return None
    either = rows | others
    return None if bool(either.all()) else either


def meaning(codes: Codes) -> tuple[ActivationRange, bytes | None]:
    """What codes mean and which channels they have."""
    return codes.at, None if codes.alive is None else codes.alive.numpy().tobytes()


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]


def _checked(node: fx.Node, quantizer: ActivationQuantizer) -> ActivationRange:
    at = quantizer.range
    if at is None:
        raise RunError(f"{node.target} has no range; lower networks that Candidates.stitch gives")
    if at.bits > _WIDEST:
        raise RunError(f"{node.target}: activations of {at.bits} bits have no integer codes; use at most {_WIDEST}")
    return at
