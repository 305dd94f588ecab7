"""`OnnxGraph`: an ONNX model under construction."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from rlcompress.export.records import Recording
from rlcompress.export.replay import shapes


class OnnxGraph:
    """Collects nodes and initializers.

    Args:
        recording: the network.
        example: an image [1, C, H, W].
        int4: store weights of up to 4 bits as INT4; needs opset 21.

    Attributes:
        names: value number -> name of the ONNX tensor, or names of a tuple's.
        shapes: value number -> shape for one image.
        codes: numbers of the values that are uint8 codes.
        inexact: operators that onnxruntime may compute differently in the last bits.
    """

    def __init__(self, recording: Recording, example: Tensor, *, int4: bool = False) -> None:
        self.recording, self.example, self.int4 = recording, example, int4
        self.opset = 21 if int4 else 17
        self.shapes = shapes(recording, example)
        self.names: dict[int, Any] = {0: "images"}
        self.codes: set[int] = set()
        self.inexact: set[str] = set()
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._used: set[str] = {"images"}

    def model(self, about: dict[str, str]) -> onnx.ModelProto:
        """The whole model, checked."""
        last = self.names[self.recording.output]
        self._nodes.append(helper.make_node("Identity", [last], ["logits"], "logits"))
        image = ["N", *self.example.shape[1:]]
        logits = ["N", *self.shapes[self.recording.output][1:]]
        graph = helper.make_graph(
            self._nodes,
            "rlcompress",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, image)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits)],
            list(self._initializers.values()),
        )
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10 if self.int4 else 8)
        helper.set_model_props(model, {**about, "inexact_operators": ", ".join(sorted(self.inexact))})
        onnx.checker.check_model(model)
        return model

    def node(self, kind: str, inputs: list[str], hint: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; returns the name of its output, or the names of several."""
        name = self.free(hint or kind.lower())
        made = [name] if outputs == 1 else [f"{name}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, made, name, **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, value: Any, kind: Any = np.float32, hint: str = "constant") -> str:
        """An initializer; equal small ones are shared."""
        array = np.asarray(value, kind)
        key = f"{hint}_{array.dtype}_{array.tobytes().hex()}_{array.shape}" if array.size <= 8 else ""
        if key in self._initializers:
            return self._initializers[key].name
        name = self.free(hint)
        self._initializers[key or name] = numpy_helper.from_array(array, name)
        return name

    def hold(self, tensor: onnx.TensorProto) -> None:
        """Add an initializer."""
        self._initializers[tensor.name] = tensor

    def real(self, number: int) -> str:
        """Name of a value that is real anyway."""
        assert number not in self.codes
        return str(self.names[number])

    def centred(self, number: int, zero_point: int, scale: float = 1.0) -> str:
        """(q - zero_point) * scale of a stored value."""
        scales, zero = self.constant(scale), self.constant(zero_point, np.uint8)
        return str(self.node("DequantizeLinear", [self.names[number], scales, zero]))

    def scaled(self, name: str, factor: Any) -> str:
        """A product with a constant, rounded to float32 first."""
        return str(self.node("Mul", [name, self.constant(factor)]))

    def clipped(self, name: str, low: float, high: float) -> str:
        """Between two bounds."""
        return str(self.node("Clip", [name, self.constant(low), self.constant(high)]))

    def free(self, hint: str) -> str:
        """A name that is not taken yet."""
        name, number = hint, 0
        while name in self._used:
            number += 1
            name = f"{hint}_{number}"
        self._used.add(name)
        return name

    def padded(self, number: int, pads: list[int], value: float) -> str:
        """Constant padding, widths from the last dimension to the first as PyTorch has them."""
        widths = self.constant(onnx_pads(pads, len(self.shapes[number])), np.int64)
        fill = self.constant(value, np.uint8 if number in self.codes else np.float32)
        return str(self.node("Pad", [self.names[number], widths, fill]))


def onnx_pads(pads: list[int], dims: int) -> list[int]:
    """Widths from the last dimension to the first, as PyTorch has them, in ONNX's order.

    >>> onnx_pads([1, 2, 3, 4], 4)
    [0, 0, 3, 1, 0, 0, 4, 2]
    """
    before, after = [0] * dims, [0] * dims
    for i in range(len(pads) // 2):
        before[dims - 1 - i], after[dims - 1 - i] = pads[2 * i], pads[2 * i + 1]
    return [*before, *after]
