"""The ONNX format: QuantizeLinear and DequantizeLinear around operators on integers, exact in onnxruntime.

Stored tensors are uint8 codes, weights int8 codes (INT4 for up to 4 bits where asked for). DequantizeLinear has the
scale 1, so that a convolution sums integers, which float32 holds exactly below 2^24; the constants of
`rlcompress.integer.semantics` follow as Mul and Add, a Clip where codes have fewer than 8 bits or an activation has
bounds, and QuantizeLinear of scale 1 rounds half to even. True scales stand in the metadata and, where values are
needed, in DequantizeLinear.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor

from rlcompress.export.calls import Call
from rlcompress.export.onnx_calls import emit_call
from rlcompress.export.onnx_graph import OnnxGraph
from rlcompress.export.records import Record
from rlcompress.integer.engines import IntegerConv
from rlcompress.integer.semantics import FixedPoint
from rlcompress.integer.steps import Window
from rlcompress.quantization import ActivationRange

_EXACT = 2**24
_ALL_CODES = (0, 255)
_OF_CODES = ("pad", "place", "max_pool", "move")  # codes if their input is


def emit(graph: OnnxGraph, record: Record) -> None:
    """Append the nodes of a record.

    Raises:
        NetworkError: an operator has no ONNX counterpart here.
    """
    if record.kind in ("store", "requantized") or (record.kind in _OF_CODES and record.inputs[0] in graph.codes):
        graph.codes.add(record.output)
    graph.names[record.output] = _RULES[record.kind](graph, record)


def _call(graph: OnnxGraph, record: Record) -> Any:
    return emit_call(graph, Call(record.settings["call"], record.tensors), record)


def _store(graph: OnnxGraph, record: Record) -> str:
    at, bounds = ActivationRange(**record.settings["at"]), record.settings["bounds"]
    x = graph.scaled(graph.real(record.inputs[0]), 1.0 / at.scale)
    limits = (bounds["low"], bounds["high"])
    if limits != _ALL_CODES:
        x = graph.clipped(x, limits[0] - at.zero_point, limits[1] - at.zero_point)
    return _quantized(graph, x, at.zero_point, "codes")


def _quantized(graph: OnnxGraph, name: str, zero_point: int, hint: str) -> str:
    return str(graph.node("QuantizeLinear", [name, graph.constant(1.0), graph.constant(zero_point, np.uint8)], hint))


def _load(graph: OnnxGraph, record: Record) -> str:
    at = ActivationRange(**record.settings["at"])
    return graph.centred(record.inputs[0], at.zero_point, at.scale)


def _sums(graph: OnnxGraph, record: Record) -> str:
    """Accumulators of a layer."""
    settings, codes = record.settings, record.tensors["codes"]
    name = settings["name"]
    top, left = settings["padding"]
    window = {
        "strides": list(settings["stride"]), "dilations": list(settings["dilation"]), "group": settings["groups"],
    }  # fmt: skip
    x = graph.names[record.inputs[0]]
    if settings["flat"]:
        x = graph.node("Reshape", [x, graph.constant([-1, codes.shape[1], 1, 1], np.int64)])
    if _largest_sum(record) > _EXACT:
        if top or left:
            pads = graph.constant([0, 0, top, left, 0, 0, top, left], np.int64)
            x = graph.node("Pad", [x, pads, graph.constant(settings["zero_point"], np.uint8)])
        weight = _weight(graph, codes, name, packed=False)
        zeros = [graph.constant(settings["zero_point"], np.uint8), graph.constant(0, np.int8)]
        sums = graph.node("ConvInteger", [x, weight, *zeros], f"{name}.sums", **window)
        sums = graph.node("Cast", [sums], to=TensorProto.FLOAT)
    else:
        zero = graph.constant(settings["zero_point"], np.uint8)
        x = graph.node("DequantizeLinear", [x, graph.constant(1.0), zero])
        weight = graph.node("DequantizeLinear", [_weight(graph, codes, name), graph.constant(1.0)], f"{name}.weight")
        sums = graph.node("Conv", [x, weight], f"{name}.sums", pads=[top, left, top, left], **window)
    return str(sums)


def _weight(graph: OnnxGraph, codes: Tensor, name: str, *, packed: bool = True) -> str:
    array: NDArray[Any] = codes.numpy()
    if not (packed and graph.int4 and int(codes.abs().max()) <= 7):
        return graph.constant(array, np.int8, f"{name}.weight_codes")
    free = graph.free(f"{name}.weight_codes")
    flat = array.astype(np.int8).flatten().tolist()
    graph.hold(helper.make_tensor(free, TensorProto.INT4, list(array.shape), flat))
    return free


def _affine(graph: OnnxGraph, sums: str, factor: Tensor, offset: Tensor) -> str:
    product = graph.node("Mul", [sums, graph.constant(factor.view(1, -1, 1, 1).numpy())])
    return str(graph.node("Add", [product, graph.constant(offset.view(1, -1, 1, 1).numpy())]))


def _layer(graph: OnnxGraph, record: Record) -> str:
    tensors = record.tensors
    return _flat(graph, _affine(graph, _sums(graph, record), tensors["scale"], tensors["bias"]), record)


def _requantized(graph: OnnxGraph, record: Record) -> str:
    settings, tensors = record.settings, record.tensors
    x = _affine(graph, _sums(graph, record), tensors["multiplier"], tensors["bias"])
    if len(record.inputs) > 1:
        x = graph.node("Add", [x, graph.centred(record.inputs[1], 0, settings["ratio"])])
    limits = (settings["bounds"]["low"], settings["bounds"]["high"])
    if limits != _ALL_CODES:
        x = graph.clipped(x, *limits)
    return _flat(graph, _quantized(graph, x, 0, f"{settings['name']}.codes"), record)


def _flat(graph: OnnxGraph, name: str, record: Record) -> str:
    return str(graph.node("Flatten", [name])) if record.settings["flat"] else name


def _average_codes(graph: OnnxGraph, record: Record) -> str:
    at = ActivationRange(**record.settings["at"])
    window, shape = record.settings["window"], graph.shapes[record.inputs[0]]
    sums, count = _window_sums(graph, window, shape, graph.centred(record.inputs[0], at.zero_point))
    return graph.scaled(sums, at.scale / count)


def _average_real(graph: OnnxGraph, record: Record) -> str:
    x, shape, window = graph.real(record.inputs[0]), graph.shapes[record.inputs[0]], record.settings["window"]
    at, rows = ActivationRange(**record.settings["at"]), Window(**window).rows(*shape[2:])
    if rows is not None:
        x, shape = _fixed_point(graph, asdict(rows), shape, x, at), (*shape[:3], 1)
    return _fixed_point(graph, window, shape, x, at)


def _fixed_point(graph: OnnxGraph, window: dict[str, Any], shape: tuple[int, ...], x: str, at: ActivationRange) -> str:
    """Averages of real values of a shape over each window."""
    point = FixedPoint.of(at, _positions(window, shape))
    x = graph.node("Round", [graph.scaled(x, 1.0 / point.unit)])
    sums, count = _window_sums(graph, window, shape, graph.clipped(x, -point.limit, point.limit))
    return graph.scaled(sums, point.unit / count)


def _window_sums(graph: OnnxGraph, window: dict[str, Any], shape: tuple[int, ...], x: str) -> tuple[str, int]:
    """Sums over each window, of integers: exact in any order."""
    count = _positions(window, shape)
    if window["pool"] is None:
        axes = graph.constant([2, 3], np.int64)
        return graph.node("ReduceSum", [x, axes], keepdims=int(window["keepdim"])), count
    kernel, stride, padding = (_pair(value) for value in window["pool"])
    ones = graph.constant(np.ones((shape[1], 1, *kernel)), np.float32, "ones")
    padded = [*padding, *padding] if padding else [0, 0, 0, 0]
    strides = list(stride or kernel)
    return graph.node("Conv", [x, ones], pads=padded, strides=strides, group=shape[1]), count


def _pad(graph: OnnxGraph, record: Record) -> str:
    pads = record.settings["pads"]
    return graph.padded(record.inputs[0], pads, record.settings["zero_point"])


def _place(graph: OnnxGraph, record: Record) -> str:
    number, fill = record.inputs[0], record.settings["fill"]
    positions, count = record.tensors["positions"].tolist(), record.settings["count"]
    dims = 2 * (len(graph.shapes[number]) - 2)
    first, last = positions[0], positions[-1]
    if last - first + 1 == len(positions):
        return graph.padded(number, [0] * dims + [first, count - 1 - last], fill)
    filled = graph.padded(number, [0] * dims + [0, 1], fill)  # one more channel, which the new ones are read from
    index = np.full(count, len(positions))
    index[positions] = np.arange(len(positions))
    return str(graph.node("Gather", [filled, graph.constant(index, np.int64)], axis=1))


def _add(graph: OnnxGraph, record: Record) -> str:
    return str(graph.node("Add", [graph.real(i) for i in record.inputs]))


def _clamp(graph: OnnxGraph, record: Record) -> str:
    low, high = record.settings["low"], record.settings["high"]
    bounds = ["" if value is None else graph.constant(value) for value in (low, high)]
    return str(graph.node("Clip", [graph.real(record.inputs[0]), *bounds]))


def _constant(graph: OnnxGraph, record: Record) -> str:
    value = record.tensors["value"].numpy()
    return graph.constant(value, value.dtype)


def _largest_sum(record: Record) -> int:
    settings = record.settings
    return IntegerConv(record.tensors["codes"], settings["zero_point"], settings["largest_input"]).largest_sum


def _positions(window: dict[str, Any], shape: tuple[int, ...]) -> int:
    """Positions that a window averages over."""
    if window["pool"] is None:
        return shape[2] * shape[3]
    height, width = _pair(window["pool"][0])
    return height * width


def _pair(value: Any) -> tuple[int, ...]:
    if value is None or value == []:
        return ()
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


_RULES: dict[str, Callable[[OnnxGraph, Record], Any]] = {
    "store": _store, "load": _load, "layer": _layer, "requantized": _requantized, "average_codes": _average_codes,
    "average_real": _average_real, "pad": _pad, "place": _place, "add": _add, "clamp": _clamp, "constant": _constant,
    "call": _call, "move": _call, "max_pool": _call,
}  # fmt: skip
