"""Clustered layers: 8-bit codes of few values, which engines and exported files take as they are."""

import pytest
import torch

from rlcompress.candidates import Candidates
from rlcompress.errors import PolicyError
from rlcompress.export import export
from rlcompress.export.reading import read_exported
from rlcompress.integer import lower
from rlcompress.network.cards import NetworkCard
from rlcompress.network.layers import weighted
from rlcompress.network.trace import trace
from rlcompress.quantization import integer_weight
from rlcompress.spec import CompressionPolicy, LayerChoice
from tests.small_networks import InvertedResidual, OptionAResNet, images

SHAPE = (3, 8, 8)
X = images(24, *SHAPE)


def clustered(bits, **choice):
    return LayerChoice(weight_bits=bits, weight_quantizer="clustered", **choice)


@pytest.fixture(scope="module", params=[OptionAResNet, InvertedResidual])
def network(request):
    return trace(request.param(), torch.zeros(1, *SHAPE))


@pytest.fixture(scope="module")
def bank(network):
    return Candidates(network, X)


def everywhere(network, choice):
    return dict.fromkeys(network.layers, choice)


def values(graph, layer):
    """The codes that a layer's weights take."""
    return integer_weight(weighted(graph, layer)).codes.unique()


@pytest.mark.parametrize("bits", [2, 4, 7])
def test_a_layer_has_one_codebook_of_8_bit_codes(bank, bits):
    for name in bank.network.layers:
        codes = bank.weights(name, everywhere(bank.network, clustered(bits))).codes
        assert codes.dtype == torch.int8
        assert len(codes.unique()) <= 2**bits


@pytest.mark.parametrize("granularity", ["element", "block", "channel"])
def test_zero_is_an_entry_where_weights_are_removed(bank, granularity):
    choice = clustered(2, granularity=granularity, keep_ratio=0.5)
    for name, spec in bank.network.layers.items():
        if spec.groups > 1 and granularity != "element":
            continue
        codes = bank.weights(name, {**everywhere(bank.network, LayerChoice()), name: choice}).codes
        assert (codes == 0).float().mean() >= 0.4
        assert len(codes.unique()) <= 4


@pytest.mark.parametrize("repair", ["none", "t1"])
def test_clusters_lose_less_than_uniform_weights_of_as_many_bits(network, repair):
    bank = Candidates(network, X, repair=repair)
    dense = network.graph(X).detach()
    for bits in (2, 3, 4):
        errors = [
            float((bank.stitch_locally(everywhere(network, choice))(X) - dense).square().mean())
            for choice in (LayerChoice(weight_bits=bits), clustered(bits))
        ]
        assert errors[1] < errors[0]


def test_the_same_codebooks_again(bank):
    choices = everywhere(bank.network, clustered(3, granularity="element", keep_ratio=0.6))
    fresh = Candidates(bank.network, X)
    for name in bank.network.layers:
        assert torch.equal(bank.weights(name, choices).codes, fresh.weights(name, choices).codes)


@pytest.mark.parametrize("format_", ["safetensors", "onnx"])
def test_exported_files_give_the_same_bits(bank, format_, tmp_path):
    if format_ == "onnx":
        pytest.importorskip("onnxruntime", reason="the export extra is not installed")
    names = list(bank.network.layers)
    choices = everywhere(bank.network, clustered(3, activation_bits=6)) | {names[-1]: clustered(4, activation_bits=6)}
    policy = CompressionPolicy.of(choices, network=bank.network.reference, hardware="ethosu55_256")
    card = NetworkCard(
        name="n", factory="", input_shape=SHAPE, mean=(0.0,) * 3, std=(1.0,) * 3, classes=5, description="", source=""
    )
    stitched, path = bank.stitch(choices), tmp_path / f"n.{format_}"
    export(stitched, policy, card, path, format_, int4=format_ == "onnx")
    wanted = [lower(stitched, engine=engine)(X) for engine in ("portable", "auto")]
    assert torch.equal(*wanted)
    assert torch.equal(read_exported(path)[0](X), wanted[0])


@pytest.mark.parametrize("mixed", [True, False])
def test_learned_rounding_leaves_clustered_layers_alone(network, mixed):
    names = list(network.layers)
    choices = everywhere(network, clustered(3, activation_bits=5))
    if mixed:
        choices[names[0]] = choices[names[-1]] = LayerChoice(weight_bits=3, activation_bits=5)
    before, after = (Candidates(network, X, repair=repair) for repair in ("t1", "t2:5"))
    for name, choice in choices.items():
        if choice.weight_quantizer == "clustered":
            assert torch.equal(values(before.final(choices), name), values(after.final(choices), name))
    assert after.final(choices)(X).isfinite().all()


def test_only_narrow_weights_are_clustered():
    with pytest.raises(PolicyError, match="clustered weights are indices of 2 to 7 bits: set weight_bits to that or"):
        LayerChoice(weight_quantizer="clustered")
