import subprocess
import sys

import pytest

from rlcompress.errors import NetworkError
from rlcompress.network.cards import CARDS, get_card


def test_importing_the_cards_loads_no_torch():
    code = "import sys, rlcompress.network.cards; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_every_card_normalises_each_channel_of_its_input(card):
    assert len(card.mean) == len(card.std) == card.input_shape[0]
    assert "\n" not in card.description
    assert min(card.std) > 0


def test_all_promised_networks_have_a_card():
    depths = {f"cifar_resnet{depth}" for depth in (20, 32, 44, 56, 110)}
    stem64 = {f"cifar_resnet{depth}_stem64" for depth in (8, 14, 20, 26, 32)}
    mobile = {f"mobilenet_v1_{width}" for width in ("0.25", "0.5", "0.75", "1.0")} | {"mobilenet_v2"}
    vgg = {f"cifar_vgg{depth}_bn" for depth in (11, 13, 16, 19)}
    resnets = {f"resnet{depth}" for depth in (18, 34, 50)}
    assert set(CARDS) == depths | stem64 | mobile | vgg | resnets | {
        "cifar_mobilenet_v2",
        "digits_cnn",
        "mlperf_tiny_resnet8",
        "vdsr",
    }


def test_with_classes_changes_the_normalisation_only_where_it_is_known():
    assert get_card("cifar_resnet8_stem64").with_classes(100).std == (0.267, 0.256, 0.276)
    assert get_card("cifar_resnet20").with_classes(100).mean == get_card("cifar_resnet20").mean
    assert get_card("cifar_resnet20").with_classes(100).classes == 100


@pytest.mark.parametrize(
    ("name", "meant"), [("cifar_resnet21", "cifar_resnet20"), ("mobilenet_v3", "mobilenet_v2"), ("zzz", "")]
)
def test_unknown_network_names_close_ones_and_the_mend(name, meant):
    with pytest.raises(NetworkError, match=f"unknown network '{name}'.*{meant}.*`rlcompress networks list`") as caught:
        get_card(name)
    assert "\n" not in str(caught.value)
