"""Networks of a user's own, by name."""

import sys

import pytest
import torch
from safetensors.torch import save_file

from rlcompress.errors import NetworkError
from rlcompress.network.cards import InputFormat
from rlcompress.network.pretrained import pretrained, untrained
from rlcompress.network.weights import build

_SOURCE = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))

class Squeezing(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 8), nn.Linear(4, 10)

    def forward(self, x):
        return self.fc(self.conv(x).squeeze())

class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y

def single():
    return nn.Sequential(small(), nn.Linear(10, 1), nn.Flatten(0))

def parallel():
    return nn.DataParallel(small())

def upscaler():
    return nn.Conv2d(1, 1, 3, padding=1)

def broken():
    raise ValueError("no checkpoint\\nat hand")

def number():
    return 7

def with_argument(width):
    return small()

def program():
    return torch.export.export(small().eval(), (torch.zeros(2, 1, 8, 8),), dynamic_shapes=({0: torch.export.Dim("n")},))

READY = small()
"""
_GREY = InputFormat(shape=(1, 8, 8), mean=(0.3,), std=(0.4,))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(_SOURCE)
    return path


def test_a_factory_in_a_file(source):
    traced, card = pretrained(f"{source}:small", None, _GREY)
    assert list(traced.layers) == ["_0", "_3"] or list(traced.layers) == ["0", "3"]
    assert (card.name, card.classes, card.input_shape, card.mean, card.std) == ("small", 10, (1, 8, 8), (0.3,), (0.4,))
    assert card.metric == "top1"
    assert traced.name == "small"


def test_a_factory_may_give_an_exported_program(source):
    traced, card = pretrained(f"{source}:program", None, _GREY)
    assert [spec.out_channels for spec in traced.layers.values()] == [
        spec.out_channels for spec in pretrained(f"{source}:small", None, _GREY)[0].layers.values()
    ]
    assert (card.name, card.classes) == ("program", 10)


def test_a_module_that_is_there_already_and_one_that_gives_images(source):
    assert pretrained(f"{source}:READY", None, _GREY)[1].classes == 10
    assert pretrained(f"{source}:Squeezing", None, _GREY)[1].classes == 10
    assert pretrained(f"{source}:single", None, _GREY)[1].classes == 1
    card = pretrained(f"{source}:upscaler", None, _GREY)[1]
    assert (card.classes, card.metric) == (None, "psnr")


def test_weights_of_a_file_are_loaded_into_a_users_network(source, tmp_path):
    weights = {name: torch.full_like(tensor, 0.5) for name, tensor in made_state(source).items()}
    save_file(weights, tmp_path / "w.safetensors")
    traced, _ = pretrained(f"{source}:small", tmp_path / "w.safetensors", _GREY)
    assert all((parameter == 0.5).all() for parameter in traced.graph.parameters())


def made_state(source):
    return dict(untrained(f"{source}:small", _GREY)[0].graph.state_dict())


def test_a_factory_in_a_package_of_the_current_folder(source, tmp_path, monkeypatch):
    (tmp_path / "userpackage").mkdir()
    (tmp_path / "userpackage" / "models.py").write_text(_SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert pretrained("userpackage.models:small", None, _GREY)[1].classes == 10


def test_a_built_in_network_takes_another_normalisation(tmp_path):
    save_file(build("digits_cnn")[0].state_dict(), tmp_path / "w.safetensors")
    card = pretrained("digits_cnn", tmp_path / "w.safetensors", InputFormat(mean=(0.0,)))[1]
    assert (card.mean, card.std) == ((0.0,), (0.3759,))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("nowhere.py:small", _GREY, "there is no file .*nowhere.py; check its path"),
        ("mine.py:large", _GREY, "has no 'large'; give the name of one that it has"),
        ("mine.py:broken", _GREY, r"the factory failed \(no checkpoint at hand\); it is called without arguments"),
        ("mine.py:with_argument", _GREY, "the factory failed .*called without arguments"),
        ("mine.py:number", _GREY, "gives int; let it return an nn.Module"),
        ("raises.py:small", _GREY, r"importing .* failed \(name 'undefined' is not defined\); mend the module"),
        ("no_such_package.models:small", _GREY, "no module 'no_such_package.models' is installed"),
        ("mine.py:small", InputFormat(), "does not say what it takes; give --input-shape C,H,W"),
        ("mine.py:small", InputFormat(shape=(1, 8, 8)), "give --mean and --std of each channel"),
        (
            "mine.py:small",
            InputFormat(shape=(3, 8, 8), mean=(0.0,), std=(1.0,)),
            r"small' does not accept an input of shape \(3, 8, 8\) .* of as many channels as it takes \(image folders",
        ),
        (
            "mine.py:small",
            InputFormat(shape=(1, 9, 8), mean=(0.0,), std=(1.0,)),
            r"does not accept an input of shape \(1, 9, 8\) .* --input-shape C,H,W, of the size that it takes$",
        ),
        ("mine.py:TwoInputs", _GREY, "^TwoInputs has 2 inputs; wrap it in a module with one tensor input$"),
        ("mine.py:parallel", _GREY, "^DataParallel only wraps a network; give that itself, which is model.module$"),
        ("mine.py:small", InputFormat(shape=(1, 8, 8), mean=(0.0, 0.0), std=(1.0,)), "mean has 2 values for 1 chan"),
        ("digits_cnn", _GREY, "digits_cnn is not trained; give its weights"),
        ("digits_cn", _GREY, "give|own is package.module:factory"),
    ],
)
def test_wrong_networks_are_answered_in_one_line(source, name, given, message):
    (source.parent / "raises.py").write_text("undefined")
    name = f"{source.parent}/{name}" if ".py" in name else name
    with pytest.raises(NetworkError, match=message) as caught:
        pretrained(name, None, given)
    assert len(str(caught.value).splitlines()) == 1
