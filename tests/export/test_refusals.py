"""What an export refuses is known from the traced network alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rlcompress.errors import RunError
from rlcompress.export import FORMATS, refusals
from rlcompress.network.trace import trace
from tests.network.test_thinning import NETWORKS
from tests.small_networks import Net, conv

SHAPE = (3, 7, 14)


def of(call, format_):
    network = Net(lambda s, x: s.call(F.relu(s.a(x))), a=conv(3, 4), call=call)
    return refusals(trace(network, torch.zeros(1, *SHAPE)), format_)


class OfSequences(nn.Module):
    def __init__(self, inner, count):
        super().__init__()
        self.inner, self.count = inner, count

    def forward(self, x):
        return self.inner(*[x.flatten(1, 2)] * self.count)[0]


class Computed(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 4, 1, 1))

    def forward(self, x):
        return F.conv2d(x, self.weight * 2)


IN_NO_FORMAT = {
    "call.inner": OfSequences(nn.GRU(14, 6, batch_first=True), 1),
    "call.inner ": OfSequences(nn.LSTM(14, 6, batch_first=True), 1),
    "call.inner  ": OfSequences(nn.MultiheadAttention(14, 2, batch_first=True), 3),
    "logsumexp": lambda x: torch.logsumexp(x, 1),
}


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", IN_NO_FORMAT)
def test_what_no_format_takes(name, format_):
    found = of(IN_NO_FORMAT[name], format_)
    assert list(found) == [name.strip()]
    assert "cannot be exported; let the network do without it" in found[name.strip()]


NOT_IN_ONNX = {
    "adaptive pooling": (nn.AdaptiveAvgPool2d(2), "call", "adaptive pooling to sizes that do not divide the image"),
    "mirrored weights": (conv(4, 4, padding_mode="reflect"), "call", "Conv with padding 'reflect' has no ONNX rule"),
    "antialias": (
        lambda x: F.interpolate(x, size=(4, 5), mode="bilinear", antialias=True), "interpolate",
        "interpolation with antialias",
    ),
    "norm": (nn.LocalResponseNorm(3), "call", "operator 'LocalResponseNorm' has no ONNX rule"),
    "computed weights": (Computed(), "conv2d", "operator 'conv2d' has no ONNX"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_IN_ONNX)
def test_what_onnx_does_not_take(name):
    pytest.importorskip("onnx", reason="the export extra is not installed")
    call, node, message = NOT_IN_ONNX[name]
    found = of(call, "onnx")
    assert list(found) == [node]
    assert message in found[node]
    assert of(call, "safetensors") == of(call, "torch") == {}


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_are_exported_meet_no_refusal(name, format_):
    network = trace(NETWORKS[name](), torch.zeros(1, 3, 8, 8))
    before = str(network.graph.graph)
    assert refusals(network, format_) == {}
    assert str(network.graph.graph) == before


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_calls_that_are_exported_meet_no_refusal():
    pytest.importorskip("onnxruntime", reason="the export extra is not installed")
    from tests.export.test_onnx_calls import CALLS

    assert {name: found for name, call in CALLS.items() if (found := of(call, "onnx"))} == {}


def test_a_network_that_computes_with_the_number_of_images():
    network = Net(lambda s, x: torch.cat([s.a(x).mean((2, 3)), s.ones.repeat(x.size(0), 1)], 1), a=conv(3, 4))
    network.register_buffer("ones", torch.ones(1, 1))
    (found,) = refusals(trace(network.eval(), torch.zeros(1, *SHAPE)), "torch").items()
    assert found == ("Net", "forward() computes with the number of images; use it for views alone")


def test_an_unknown_format():
    with pytest.raises(RunError, match="unknown format 'tflite'; choose from onnx, safetensors, torch"):
        of(nn.ReLU(), "tflite")
