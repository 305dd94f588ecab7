"""ONNX rules heed the arguments that PyTorch's functions and modules are called with, or refuse them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rlcompress.candidates import Candidates
from rlcompress.errors import NetworkError
from rlcompress.export import export
from rlcompress.export.reading import read_exported
from rlcompress.integer import lower
from rlcompress.network.cards import NetworkCard
from rlcompress.network.trace import trace
from rlcompress.spec import CompressionPolicy, LayerChoice
from tests.small_networks import Net, conv, images

pytest.importorskip("onnxruntime", reason="the export extra is not installed")

SHAPE = (3, 7, 14)

CALLS = {
    "operands by name": lambda x: torch.add(x, other=x.sigmoid()),
    "permute by name": lambda x: x.permute(dims=(0, 1, 3, 2)),
    "transpose by name": lambda x: torch.transpose(x, dim0=2, dim1=3),
    "index_select by name": lambda x: torch.index_select(x, dim=1, index=torch.tensor([2, 0])),
    "slices behind an ellipsis": lambda x: torch.cat([x[..., ::2], x[..., 1::2]], 1),
    "reflection": lambda x: F.pad(x, (2, 1, 1, 0), mode="reflect"),
    "replication": lambda x: F.pad(x, (2, 1, 1, 0), mode="replicate"),
    "zeros around an average": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "nothing around an average": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "ceil": lambda x: F.avg_pool2d(x, 4, 3, ceil_mode=True),
    "nearest by size": lambda x: F.interpolate(x, size=(31, 32)),
    "nearest by factor": lambda x: F.interpolate(x, scale_factor=1.7),
    "nearest by a whole factor": lambda x: F.interpolate(x, scale_factor=2),
    "nearest by a recomputed factor": lambda x: F.interpolate(x, scale_factor=1.7, recompute_scale_factor=True),
    "bilinear by size": lambda x: F.interpolate(x, size=(31, 32), mode="bilinear"),
    "bilinear by corners": lambda x: F.interpolate(x, size=(31, 32), mode="bilinear", align_corners=True),
    "bilinear by factor": lambda x: F.interpolate(x, scale_factor=(1.7, 1.3), mode="bilinear"),
    "softplus": nn.Softplus(beta=3.0),
    "slopes of channels": nn.PReLU(4, 0.3),
    "one slope": lambda x: F.prelu(x - 0.5, torch.tensor([0.2])),
    "groups": nn.GroupNorm(2, 4),
    "groups by function": lambda x: F.group_norm(x, 4, torch.tensor([1.0, 2.0, 0.5, 1.0]), torch.arange(4.0), 1e-3),
    "groups without weights": nn.GroupNorm(1, 4, affine=False),
    "elementary functions": lambda x: (-x).abs().sqrt() + torch.exp(-x) + torch.log(x + 1.0),
    "log_softmax": lambda x: F.log_softmax(x, dim=1),
    "layer norm without weights": nn.LayerNorm([4, 7, 14], elementwise_affine=False),
    "layer norm of nothing else": lambda x: F.layer_norm(x, (14,)),
    "BatchNorm of features": lambda x: F.batch_norm(x.flatten(1), torch.full((392,), 0.1), torch.full((392,), 2.0)),
}  # fmt: skip


class OfSequences(nn.Module):
    """A module that gives a pair of sequences and something else for one or three sequences."""

    def __init__(self, inner, count):
        super().__init__()
        self.inner, self.count = inner, count

    def forward(self, x):
        return self.inner(*[x.flatten(1, 2)] * self.count)[0]


def exported(call, path):
    """What an exported network gives for two images, and what it should."""
    network = Net(lambda s, x: s.call(F.relu(s.a(x))), a=conv(3, 4), call=call)
    traced = trace(network, torch.zeros(1, *SHAPE))
    choices = dict.fromkeys(traced.layers, LayerChoice())
    stitched = Candidates(traced, images(8, *SHAPE)).stitch(choices)
    card = NetworkCard(
        name="net", factory="", input_shape=SHAPE, mean=(0.0,) * 3, std=(1.0,) * 3, classes=None, description="",
        source="",
    )  # fmt: skip
    policy = CompressionPolicy.of(choices, network=traced.reference, hardware="npu_int8")
    export(stitched, policy, card, path, "onnx")
    x = images(2, *SHAPE, seed=3)
    return read_exported(path)[0](x), lower(stitched, engine="portable")(x)


@pytest.mark.parametrize("name", CALLS)
def test_arguments_are_heeded(name, tmp_path):
    given, wanted = exported(CALLS[name], tmp_path / "net.onnx")
    torch.testing.assert_close(given, wanted, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: torch.add(x, x.sigmoid(), alpha=0.5), "^Add with 'alpha' has no ONNX rule"),
        (lambda x: torch.div(x, 0.3, rounding_mode="floor"), "^Div with 'rounding_mode' has no ONNX rule"),
        (nn.AvgPool2d(2, divisor_override=3), "^pooling with a divisor of its own"),
        (nn.AvgPool2d(3, 2, 1, ceil_mode=True), "ceil_mode over counted padding"),
        (lambda x: F.interpolate(x, size=(4, 5), mode="bilinear", antialias=True), "^interpolation other than"),
        (OfSequences(nn.GRU(14, 6, batch_first=True), 1), "^GRU cannot be exported; let the network do without it$"),
        (
            OfSequences(nn.MultiheadAttention(14, 2, batch_first=True), 3),
            "^MultiheadAttention cannot be exported; let the network do without it$",
        ),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"), "^circular padding has no ONNX rule"),
    ],
)
def test_arguments_without_a_counterpart_are_refused(call, message, tmp_path):
    with pytest.raises(NetworkError, match=message):
        exported(call, tmp_path / "net.onnx")
