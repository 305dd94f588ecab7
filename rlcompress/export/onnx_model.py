"""`to_onnx`: a recording as an ONNX model."""

import onnx
import torch
from torch import Tensor

from rlcompress.export.onnx_graph import OnnxGraph
from rlcompress.export.onnx_steps import emit
from rlcompress.export.records import Recording


def to_onnx(
    recording: Recording, example: Tensor, about: dict[str, str], *, int4: bool = False
) -> tuple[onnx.ModelProto, set[str]]:
    """An ONNX model of a recording, and the operators in it that onnxruntime may compute differently.

    Args:
        recording: the network.
        example: an image [1, C, H, W]; its values do not matter.
        about: what to write into the model's metadata.
        int4: store weights of up to 4 bits as INT4, which needs opset 21.

    Raises:
        NetworkError: an operator has no ONNX counterpart here.
    """
    graph = OnnxGraph(recording, torch.zeros_like(example[:1]), int4=int4)
    for record in recording.records:
        emit(graph, record)
    return graph.model(about), graph.inexact
