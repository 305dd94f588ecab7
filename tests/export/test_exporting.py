"""What is exported computes what was scored, bit for bit."""

import json
from functools import cache

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rlcompress.candidates import Candidates
from rlcompress.errors import NetworkError, RunError
from rlcompress.export import export, load
from rlcompress.export.calls import Call
from rlcompress.export.reading import read_exported
from rlcompress.integer import lower
from rlcompress.network.cards import NetworkCard
from rlcompress.network.thinning import thinned
from rlcompress.network.trace import trace
from rlcompress.spec import CompressionPolicy, LayerChoice
from tests.network.test_thinning import NETWORKS, SHAPE, random_choices
from tests.small_networks import conv, images

CARD = NetworkCard(
    name="small", factory="", input_shape=SHAPE, mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0), classes=5,
    description="", source="tests",
)  # fmt: skip
EXACT = ("resnet", "mobile", "concatenation", "shuffle", "grouped", "constant sizes", "parts")


@cache
def compressed(name):
    """A stitched network, its policy, images, and what the integer network gives for them."""
    network = trace(NETWORKS[name](), torch.zeros(1, *SHAPE))
    bank = Candidates(network, images(16, *SHAPE))
    choices = random_choices(bank, ("filter", "channel"), seed=0)
    policy = CompressionPolicy.of(choices, network=network.reference, hardware="npu_int8")
    stitched, x = bank.stitch(choices), images(5, *SHAPE, seed=3)
    return stitched, policy, x, lower(stitched, engine="portable")(x)


def exported(name, path, format_, **options):
    stitched, policy, _, _ = compressed(name)
    return export(stitched, policy, CARD, path, format_, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_safetensors_load_back_to_the_same_bits(name, tmp_path):
    path = tmp_path / "small.safetensors"
    assert exported(name, path, "safetensors") == set()
    _, policy, x, wanted = compressed(name)
    for engine in ("portable", "auto"):
        assert torch.equal(load(path, engine=engine)(x), wanted)
    network, card = read_exported(path)
    assert torch.equal(network(x[:1]), wanted[:1])
    assert (card.input_shape, card.mean, card.std, card.classes, card.metric) == (SHAPE, CARD.mean, CARD.std, 5, "top1")
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        assert CompressionPolicy.from_json(file.metadata()["policy"]) == policy


@pytest.mark.parametrize("format_", ["safetensors", "torch"])
def test_layers_without_an_integer_rule_are_exported(format_, tmp_path):
    network = nn.Sequential(
        nn.BatchNorm2d(3), conv(3, 4, padding_mode="reflect"), nn.ReLU(), conv(4, 4), nn.Flatten(), nn.Linear(256, 5)
    ).eval()
    traced = trace(network, torch.zeros(1, *SHAPE))
    choices = dict.fromkeys(traced.layers, LayerChoice(granularity="channel", keep_ratio=0.75))
    stitched, x = Candidates(traced, images(16, *SHAPE)).stitch(choices), images(5, *SHAPE, seed=3)
    policy = CompressionPolicy.of(choices, network=traced.reference, hardware="npu_int8")
    export(stitched, policy, CARD, tmp_path / "small", format_)
    small = load(tmp_path / "small") if format_ == "safetensors" else torch.export.load(tmp_path / "small").module()
    assert torch.equal(small(x), lower(stitched, engine="portable")(x))


@pytest.mark.parametrize("int4", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_gives_the_same_bits(name, int4, tmp_path):
    pytest.importorskip("onnxruntime", reason="the export extra is not installed")
    path = tmp_path / "small.onnx"
    inexact = exported(name, path, "onnx", int4=int4)
    assert not (inexact and name in EXACT)
    network, card = read_exported(path)
    _, _, x, wanted = compressed(name)
    assert card.std == CARD.std
    for count in (1, 5):
        if inexact:
            torch.testing.assert_close(network(x[:count]), wanted[:count], atol=1e-3, rtol=1e-2)
        else:
            assert torch.equal(network(x[:count]), wanted[:count])


def test_onnx_holds_quantize_linear_and_small_containers(tmp_path):
    onnx = pytest.importorskip("onnx", reason="the export extra is not installed")
    for int4, kinds in ((False, {onnx.TensorProto.INT8}), (True, {onnx.TensorProto.INT8, onnx.TensorProto.INT4})):
        exported("resnet", tmp_path / "small.onnx", "onnx", int4=int4)
        model = onnx.load(tmp_path / "small.onnx")
        nodes = {node.op_type for node in model.graph.node}
        assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= nodes
        weights = [tensor for tensor in model.graph.initializer if "weight_codes" in tensor.name]
        assert {tensor.data_type for tensor in weights} <= kinds
        assert int4 == any(tensor.data_type == onnx.TensorProto.INT4 for tensor in weights)
        assert [opset.version for opset in model.opset_import] == [21 if int4 else 17]
        about = {entry.key: entry.value for entry in model.metadata_props}
        assert json.loads(about["preprocessing"])["mean"] == list(CARD.mean)
        assert about["inexact_operators"] == ""


def test_fewer_bits_are_clipped_and_removed_channels_are_gone(tmp_path):
    onnx = pytest.importorskip("onnx", reason="the export extra is not installed")
    exported("resnet", tmp_path / "small.onnx", "onnx")
    model = onnx.load(tmp_path / "small.onnx")
    stitched, policy, _, _ = compressed("resnet")
    sizes = {t.name.removesuffix(".weight_codes"): tuple(t.dims) for t in model.graph.initializer}
    removed = [name for name, choice in policy if choice.granularity == "filter" and choice.keep_ratio < 1]
    assert removed
    for name in removed:
        assert sizes[name][0] < stitched.get_submodule(name).weight.shape[0]


@pytest.mark.parametrize("name", ["resnet", "squeeze and excitation"])
def test_a_torch_export_program_gives_the_same_bits(name, tmp_path):
    path = tmp_path / "small.pt2"
    exported(name, path, "torch")
    program = torch.export.load(path).module()
    _, _, x, wanted = compressed(name)
    assert torch.equal(program(x), wanted)
    assert torch.equal(program(x[:3]), wanted[:3])


def test_an_interrupted_export_leaves_the_old_file(tmp_path, monkeypatch):
    def interrupted(_program, file, **_options):
        file.write(b"half of it")
        raise KeyboardInterrupt

    path = tmp_path / "small.pt2"
    path.write_text("old")
    monkeypatch.setattr(torch.export, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        exported("resnet", path, "torch")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("small.pt2", "old")]


@pytest.mark.parametrize(
    ("format_", "options", "path", "message"),
    [
        ("tflite", {}, "x", "unknown format 'tflite'; choose from onnx, safetensors, torch"),
        ("safetensors", {"int4": True}, "x", "--int4 is about ONNX files"),
        ("onnx", {}, "x.safetensors", "named like a file of safetensors, but is to be onnx; change --out or --format"),
        ("torch", {}, "x.onnx", "named like a file of onnx, but is to be torch"),
        ("onnx", {}, "x.pt2", "named like a file of torch, but is to be onnx"),
        ("onnx", {}, "x.foo", "x.foo has an unknown ending; onnx files are named .onnx$"),
        ("torch", {}, "x.foo", "x.foo has an unknown ending; torch files are named .torch or .pt2 or .pt$"),
        ("onnx", {}, "", "it is a folder"),
        ("safetensors", {}, "no/such/folder/x", "cannot write .*; give another file with --out"),
    ],
)
def test_wrong_wishes(format_, options, path, message, tmp_path):
    with pytest.raises(RunError, match=message):
        exported("mobile", tmp_path / path, format_, **options)


def test_a_file_that_would_compute_something_else_is_not_written(tmp_path, monkeypatch):
    def other(stitched, images, round_to):
        small = thinned(stitched, images, round_to)
        next(m for m in small.modules() if isinstance(m, nn.Linear)).bias.data += 1.0
        return small

    monkeypatch.setattr("rlcompress.export.exporting.thinned", other)
    with pytest.raises(NetworkError, match="without its removed channels the network computes something else"):
        exported("resnet", tmp_path / "small.safetensors", "safetensors")
    assert not (tmp_path / "small.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preprocessing": "[" * 100_000}, "says nothing about its input"),
        ({"preprocessing": {"input_shape": [3, 16, 15], "mean": [0.1] * 3, "std": [1.0] * 3}}, "does not run"),
        ({"preprocessing": {"input_shape": SHAPE, "mean": [0.1], "std": [1.0] * 3}}, "its metadata is damaged"),
        ({"preprocessing": {"input_shape": SHAPE, "mean": [0.1] * 3, "std": [0.0] * 3}}, "its metadata is damaged"),
        ({"network": {"name": 3, "classes": 5, "metric": None, "source": ""}}, "its metadata is damaged"),
    ],
)
def test_metadata_of_a_stranger_are_not_believed(changes, message, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    exported("constant sizes", tmp_path / "a.onnx", "onnx")
    model = onnx.load(tmp_path / "a.onnx")
    for entry in model.metadata_props:
        if entry.key in changes:
            value = changes[entry.key]
            entry.value = value if isinstance(value, str) else json.dumps(value)
    onnx.save(model, tmp_path / "b.onnx")
    with pytest.raises(NetworkError, match=message) as caught:
        read_exported(tmp_path / "b.onnx")
    assert len(str(caught.value).splitlines()) == 1


def damaged(tmp_path, kind):
    path = tmp_path / f"{kind}.safetensors"
    if kind == "foreign":
        save_file({"a": torch.zeros(2)}, path)
    elif kind == "garbage":
        path.write_bytes(b"no tensors at all")
    elif kind == "torch":
        path = tmp_path / "small.torch"
        path.write_bytes(b"PK")
    elif kind == "onnx":
        path = tmp_path / "model.onnx"
        path.write_bytes(b"no model at all")
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("foreign", "no network that `rlcompress export --format safetensors` wrote"),
        ("garbage", "cannot read the exported network"),
        ("missing", "there is no such file"),
        ("torch", "programs of torch.export are not scored here; export it as .onnx or .safetensors$"),
        ("onnx", "onnxruntime cannot read it|needs onnxruntime"),
    ],
)
def test_files_that_are_no_exported_networks(kind, message, tmp_path):
    with pytest.raises(NetworkError, match=message) as caught:
        read_exported(damaged(tmp_path, kind))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"function": "torch.load"},
        {"function": "functional.__loader__"},
        {"function": "functional.normalize.__globals__.clear"},
        {"function": "functional.pad.__call__"},
        {"function": "aten.add.__init__"},
        {"function": "aten.add.Tensor.__class__"},
        {"method": "numpy"},
        {"module": "Sequential", "config": {}},
        {"module": "modules", "config": {}},
    ],
)
def test_a_file_cannot_call_what_it_likes(settings):
    with pytest.raises(NetworkError):
        Call({**settings, "args": [], "kwargs": {}}).function()
