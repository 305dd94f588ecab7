"""The second way in: torch.export, and functional calls with weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rlcompress.errors import NetworkError
from rlcompress.network.exported import of_program
from rlcompress.network.trace import trace
from tests.small_networks import conv, images, randomized

SHAPE = (3, 8, 8)


class Pythonic(nn.Module):
    """What torch.fx cannot follow: loops and branches over shapes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.blocks = nn.ModuleList([conv(8, 8, groups=8), conv(8, 8, 1)])
        self.fc = nn.Linear(8, 5)
        randomized(self)

    def forward(self, x):
        if x.shape[2] > 4:
            x = self.stem(x)
        for i in range(x.shape[1] // 4):
            x = x + F.silu(self.blocks[i](x))
        return self.fc(F.adaptive_avg_pool2d(x, 1).view(x.size(0), -1))


@pytest.mark.parametrize("given", [lambda program: program, lambda program: program.module()])
def test_exported_programs_are_taken(given):
    model = Pythonic().eval()
    dynamic = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (images(2, *SHAPE),), dynamic_shapes=dynamic)
    traced = trace(of_program(given(program)), torch.zeros(1, *SHAPE), name="net")
    assert [spec.in_channels for spec in traced.layers.values()] == [3, 8, 8, 8]
    x = images(5, *SHAPE, seed=1)
    torch.testing.assert_close(traced.graph(x), model(x))


def test_modules_stay_themselves():
    model = Pythonic()
    assert of_program(model) is model


class Weights(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = conv(3, 8)
        self.weight = nn.Parameter(torch.randn(8, 8, 3, 3, generator=torch.Generator().manual_seed(0)))
        self.last = nn.Linear(8, 5)
        randomized(self)

    def forward(self, x):
        x = F.conv2d(F.relu(self.a(x)), self.weight, None, stride=2, padding=1)
        x = F.conv2d(x, self.a.weight.repeat(1, 3, 1, 1)[:, :8], padding=1)
        return F.linear(x.mean((2, 3)), self.last.weight, bias=self.last.bias)


class OneKernel(nn.Module):
    """Branches that differ in their dilation alone, and one that has a bias (TridentNet shares weights so)."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(0)))
        self.bias = nn.Parameter(torch.arange(8.0))
        self.last = nn.Linear(8, 5)

    def forward(self, x):
        wide = [F.relu(F.conv2d(x, self.kernel, padding=d, dilation=d)) for d in (1, 2, 3, 1)]
        return self.last((sum(wide) + F.conv2d(x, self.kernel, self.bias, padding=1)).mean((2, 3)))


class FixedBatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(192, 5)

    def forward(self, x):
        return self.fc(x.view(len(x), 192))


def test_python_that_torch_fx_cannot_follow():
    network = Pythonic()
    traced = trace(network, torch.zeros(1, *SHAPE))
    assert {name: spec.kind for name, spec in traced.layers.items()} == {
        "stem.0": "conv", "blocks.0": "depthwise", "blocks.1": "conv", "fc": "linear",
    }  # fmt: skip
    assert {spec.coupling for name, spec in traced.layers.items() if name != "fc"} == {"stem.0"}
    assert not any(isinstance(module, nn.BatchNorm2d) for module in traced.graph.modules())
    for count in (1, 2, 5):
        x = images(count, *SHAPE)
        torch.testing.assert_close(traced.graph(x), network(x), atol=1e-5, rtol=1e-4)


def test_functional_calls_with_weights_are_layers_and_computed_weights_are_not():
    network = Weights()
    traced = trace(network, torch.zeros(1, *SHAPE))
    assert list(traced.layers) == ["weight_layer", "last"]
    assert traced.layers["weight_layer"].stride == 2
    assert traced.skipped == {
        "a": "Conv2d is used 2 times",
        "repeat": "repeat uses a.weight outside a module",
        "conv2d_1": "conv2d computes its weights",
    }
    x = images(3, *SHAPE)
    torch.testing.assert_close(traced.graph(x), network(x), atol=1e-4, rtol=1e-4)


class Branching(Pythonic):
    def forward(self, x):
        return super().forward(x if x.mean() > 0 else -x)


def test_what_torch_export_dumps_stays_off_the_terminal(capfd):
    with pytest.raises(NetworkError, match="keep control flow that depends on tensor values out"):
        trace(Branching(), torch.zeros(1, *SHAPE))
    assert capfd.readouterr().err == ""


def test_a_batch_size_that_is_built_in():
    with pytest.raises(NetworkError, match=r"builds in the number of images; take it from x.shape\[0\]\) at .*line"):
        trace(FixedBatch(), torch.zeros(1, *SHAPE))


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (torch.float16, "'weight' is float16, not float32; convert it with model.float"),
        (torch.float64, "'weight' is float64, not float32; convert it with model.float"),
        (torch.complex64, "'weight' is complex64, not float32; give a network of real weights"),
    ],
)
def test_other_number_types(dtype, message):
    with pytest.raises(NetworkError, match=message):
        trace(conv(3, 4, dtype=dtype), torch.zeros(1, *SHAPE))


class Several(nn.Module):
    def __init__(self, result):
        super().__init__()
        self.a, self.result = conv(3, 4), result

    def forward(self, x):
        return self.result(self.a(x))


@pytest.mark.parametrize("result", [lambda x: (x, x), lambda x: {"out": x}, lambda x: [x], lambda x: x.shape])
def test_several_results(result):
    with pytest.raises(NetworkError, match="Several does not return one tensor; wrap it in a module"):
        trace(Several(result), torch.zeros(1, *SHAPE))


def test_calls_with_one_weight_and_other_arguments_are_other_layers():
    network = OneKernel()
    traced = trace(network, torch.zeros(1, *SHAPE))
    assert list(traced.layers) == ["kernel_layer2", "kernel_layer3", "kernel_layer4", "last"]
    assert traced.skipped == {"kernel_layer": "Conv2d is used 2 times"}
    x = images(4, *SHAPE)
    torch.testing.assert_close(traced.graph(x), network(x))


def test_a_pool_with_two_results():
    model = nn.Sequential(conv(3, 4), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    dynamic = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (images(2, *SHAPE),), dynamic_shapes=dynamic)
    traced = trace(of_program(program), images(1, *SHAPE))
    x = images(5, *SHAPE, seed=1)
    torch.testing.assert_close(traced.graph(x), model(x))
    assert len(traced.layers) == 2
