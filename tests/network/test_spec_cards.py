import pytest

from rlcompress.network.cards import CARDS
from rlcompress.network.spec_cards import built_in_specs, traced_specs


@pytest.mark.parametrize("name", CARDS)
def test_spec_files_are_what_the_tracer_gives(name):
    assert built_in_specs(name) == traced_specs(name)


@pytest.mark.parametrize(
    ("name", "weights", "macs"),
    [
        ("cifar_resnet20", 268_336, 40_551_040),  # weights without biases and BatchNorm; MACs as He et al. count them
        ("mobilenet_v2", 3_469_760, 300_774_272),
    ],
)
def test_counts_of_known_networks(name, weights, macs):
    specs = [spec for spec in built_in_specs(name) if spec.compressible]
    assert sum(spec.weights for spec in specs) == weights
    assert sum(spec.macs for spec in specs) == macs
