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
    "numbers as indices": lambda x: x[:, 1, ..., -1],
    "a number behind a slice": lambda x: x[:, 1:3, 2],
    "narrow": lambda x: x.narrow(2, -3, 2),
    "select": lambda x: x.select(-1, -2),
    "unbind and stack": lambda x: torch.stack(x.unbind(1)[::-1], dim=-1),
    "flip": lambda x: torch.flip(x, (2, -1)),
    "flip by numbers": lambda x: x.flip(1),
    "movedim": lambda x: x.movedim((1, 3), (3, 2)),
    "channel shuffle": nn.ChannelShuffle(2),
    "pixel unshuffle": nn.PixelUnshuffle(7),
    "mirrored borders": nn.ReflectionPad2d((2, 1, 0, 3)),
    "repeated and constant borders": nn.Sequential(nn.ReplicationPad2d(1), nn.ConstantPad2d(2, 0.5)),
    "dropout of channels": lambda x: F.dropout2d(x, training=False),
    "bounds on one side": lambda x: torch.cat([x.clamp_min(0.3), torch.clamp_max(x, 0.7)], 1),
    "least": lambda x: x.amin(dim=(2, 3)),
    "mean by axis": lambda x: x.mean(axis=(2, 3)),
    "mish": nn.Mish(),
    "celu": nn.CELU(0.7),
    "selu": lambda x: F.selu(x - 1.0),
    "softsign": lambda x: F.softsign(x - 1.0),
    "threshold": nn.Threshold(0.4, -2.0),
    "hard shrink": lambda x: F.hardshrink(x - 1.0, 0.3),
    "soft shrink": lambda x: F.softshrink(x - 1.0, 0.3),
    "powers": lambda x: (x + 0.5).square() + torch.pow(x, 1.5) + (x + 1.0).rsqrt() + (x + 1.0).reciprocal(),
    "a number to the power": lambda x: 2.0**x,
    "normalize": lambda x: F.normalize(x, dim=-1),
    "bilinear module": nn.UpsamplingBilinear2d(scale_factor=1.5),
    "nearest module": nn.Upsample(scale_factor=2.0),
    "instance norm": nn.InstanceNorm2d(4),
    "instance norm with weights": nn.InstanceNorm2d(4, eps=1e-2, affine=True),
    "sequences": nn.Sequential(nn.Flatten(2), nn.Conv1d(4, 6, 4, stride=2, padding=1, groups=2)),
    "sequences made longer": nn.Sequential(nn.Flatten(2), nn.ConvTranspose1d(4, 3, 3, 2, 1, output_padding=1)),
    "as many zeros as it takes": nn.Conv2d(4, 4, (4, 3), padding="same", dilation=(1, 2)),
    "BatchNorm of features": lambda x: F.batch_norm(x.flatten(1), torch.full((392,), 0.1), torch.full((392,), 2.0)),
}  # fmt: skip


class OfSequences(nn.Module):
    """A module that gives a pair of sequences and something else for one or three sequences."""

    def __init__(self, inner, count):
        super().__init__()
        self.inner, self.count = inner, count

    def forward(self, x):
        return self.inner(*[x.flatten(1, 2)] * self.count)[0]


def exported(call, path, shape=SHAPE):
    """What an exported network gives for two images, and what it should."""
    network = Net(lambda s, x: s.call(F.relu(s.a(x))), a=conv(3, 4), call=call)
    traced = trace(network, torch.zeros(1, *shape))
    choices = dict.fromkeys(traced.layers, LayerChoice())
    stitched = Candidates(traced, images(8, *shape)).stitch(choices)
    card = NetworkCard(
        name="net", factory="", input_shape=shape, mean=(0.0,) * 3, std=(1.0,) * 3, classes=None, description="",
        source="",
    )  # fmt: skip
    policy = CompressionPolicy.of(choices, network=traced.reference, hardware="npu_int8")
    export(stitched, policy, card, path, "onnx")
    x = images(2, *shape, seed=3)
    return read_exported(path)[0](x), lower(stitched, engine="portable")(x)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
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
        (lambda x: F.interpolate(x, size=(4, 5), mode="bilinear", antialias=True), "^interpolation with antialias"),
        (OfSequences(nn.GRU(14, 6, batch_first=True), 1), "^GRU cannot be exported; let the network do without it$"),
        (
            OfSequences(nn.MultiheadAttention(14, 2, batch_first=True), 3),
            "^MultiheadAttention cannot be exported; let the network do without it$",
        ),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"), "^circular padding has no ONNX rule"),
        (nn.CircularPad2d(1), "^circular padding has no ONNX rule"),
        (lambda x: F.interpolate(x, size=(9, 9), mode="bicubic"), "^interpolation other than"),
        (lambda x: F.normalize(x, p=1.0), "^normalize by another norm"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "^Conv with padding 'reflect' has no ONNX rule"),
        (lambda x: x[:, None], "^indexing by anything but numbers and slices"),
    ],
)
def test_arguments_without_a_counterpart_are_refused(call, message, tmp_path):
    with pytest.raises(NetworkError, match=message):
        exported(call, tmp_path / "net.onnx")


class ChannelAttention(nn.Module):
    """As in super-resolution: the average of a tensor that is not stored, over all of a picture."""

    def __init__(self):
        super().__init__()
        self.pool, self.down = nn.AdaptiveAvgPool2d(1), conv(4, 4, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.down(self.pool(x.sigmoid() - 0.5)))


def test_averages_over_large_pictures(tmp_path):
    given, wanted = exported(ChannelAttention(), tmp_path / "net.onnx", (3, 140, 130))
    torch.testing.assert_close(given, wanted, atol=2e-5, rtol=1e-5)
