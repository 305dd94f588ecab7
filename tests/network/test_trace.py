from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rlcompress import hw_models
from rlcompress.candidates import Candidates
from rlcompress.errors import NetworkError
from rlcompress.integer import lower
from rlcompress.network.trace import trace
from rlcompress.planning import ChoiceSpace, measure_sensitivity
from rlcompress.spec import LayerChoice
from tests.small_networks import InvertedResidual, Net, OptionAResNet, conv, images

SHAPE = (3, 8, 8)


def traced(network, shape=SHAPE):
    return trace(network, torch.zeros(1, *shape))


def specs_of(network, shape=SHAPE):
    return {spec.name: spec for spec in traced(network, shape).specs}


def couplings(network):
    return {name: spec.coupling for name, spec in specs_of(network).items() if spec.compressible}


def mean(x):
    return x.mean((2, 3))


def chain():
    return Net(
        lambda s, x: s.fc(mean(F.relu(s.bn(s.b(F.relu(s.a(x))))))),
        a=conv(3, 4), b=conv(4, 6, stride=2, bias=False), bn=nn.BatchNorm2d(6), fc=nn.Linear(6, 5),
    )  # fmt: skip


def test_plain_chain():
    specs = specs_of(chain())
    assert list(specs) == ["a", "b", "mean", "fc"]
    a, b, pool, fc = specs.values()
    assert (a.kind, a.out_channels, a.in_channels, a.out_height, a.in_height, a.kernel_height) == (
        "conv",
        4,
        3,
        8,
        8,
        3,
    )
    assert (b.stride, b.out_height, b.out_width, b.in_height, b.inputs) == (2, 4, 4, 8, ("a",))
    assert (pool.kind, pool.out_channels, pool.in_height, pool.out_height, pool.inputs) == ("pool", 6, 4, 1, ("b",))
    assert (fc.kind, fc.out_channels, fc.in_channels, fc.inputs) == ("linear", 5, 6, ("mean",))
    assert [s.coupling for s in specs.values()] == ["a", "b", "b", None]


@pytest.mark.parametrize("network", [chain(), OptionAResNet(), InvertedResidual()], ids=["chain", "option_a", "mobile"])
def test_folded_graph_computes_the_same_and_leaves_the_network_alone(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = images(4, *SHAPE)
    expected = network(x)
    graph = traced(network).graph
    assert not any(isinstance(module, nn.BatchNorm2d) for module in graph.modules())
    torch.testing.assert_close(graph(x), expected, atol=1e-5, rtol=1e-4)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_residual_sum_couples_and_stores():
    def forward(s, x):
        x = F.relu(s.a(x))
        return s.fc(mean(F.relu(x + s.c(F.relu(s.b(x))))))

    network = Net(
        forward,
        a=conv(3, 4), b=conv(4, 6), c=conv(6, 4), fc=nn.Linear(4, 5),
    )  # fmt: skip
    result = traced(network)
    assert couplings(network) == {"a": "a", "b": "b", "c": "a", "fc": None}
    assert result.layers["fc"].inputs == ("mean",)
    add = next(spec for spec in result.specs if spec.kind == "add")
    assert (add.coupling, set(add.inputs)) == ("a", {"a", "c"})
    assert list(result.classes["a"]) == list(result.classes["c"]) == list(result.input_classes["b"])
    assert result.reads == {"a": "x", "b": "relu", "c": "relu_1", "fc": "mean"}


def test_option_a_shortcut_pads_channels():
    result = traced(OptionAResNet())
    layers = result.layers
    assert {n: s.coupling for n, s in layers.items()} == {
        "stem": "stem", "one.conv1": "one.conv1", "one.conv2": "stem",
        "two.conv1": "two.conv1", "two.conv2": "stem", "linear": None,
    }  # fmt: skip
    assert list(result.classes["two.conv2"][4:12]) == list(result.classes["stem"])
    assert set(result.classes["two.conv2"][[*range(4), *range(12, 16)]]).isdisjoint(result.classes["stem"])
    assert (layers["stem"].strata, sorted(layers["two.conv2"].strata)) == ((8,), [8, 8])


def test_padded_channels_may_stand_on_either_side_of_a_sum():
    network = Net(
        lambda s, x: s.fc(mean(F.pad(s.a(x), (0, 0, 0, 0, 0, 2)) + s.b(x))),
        a=conv(3, 2), b=conv(3, 4), fc=nn.Linear(4, 5),
    )  # fmt: skip
    result = traced(network)
    assert list(result.classes["b"][:2]) == list(result.classes["a"])
    assert list(result.input_classes["fc"]) == list(result.classes["b"])
    assert sorted(result.layers["b"].strata) == [2, 2]


def test_batch_norm_stays_where_others_read_the_layer_too():
    def forward(s, x):
        x = s.a(x)
        return s.fc(mean(s.bn(x) + x))

    network = Net(forward, a=conv(3, 4), bn=nn.BatchNorm2d(4), fc=nn.Linear(4, 5))
    x = images(2, *SHAPE)
    torch.testing.assert_close(traced(network).graph(x), network(x), atol=1e-5, rtol=1e-4)
    assert couplings(network) == {"a": "a", "fc": None}
    assert traced(network).skipped == {"bn": "BatchNorm2d is not compressed"}


@pytest.mark.parametrize("features", [6, 8])
def test_batch_norm_over_tokens_is_not_folded_into_their_linear_layer(features):
    network = Net(
        lambda s, x: s.fc(s.bn(s.tokens(F.relu(s.a(x)).flatten(2))).mean(2)),
        a=conv(3, 8), tokens=nn.Linear(64, features), bn=nn.BatchNorm1d(8), fc=nn.Linear(8, 5),
    )  # fmt: skip
    graph = traced(network)
    assert graph.skipped == {"tokens": "Linear is not compressed", "bn": "BatchNorm1d is not compressed"}
    torch.testing.assert_close(graph.graph(images(4, *SHAPE)), network(images(4, *SHAPE)))


class FunctionalBatchNorm(nn.BatchNorm1d):
    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def test_batch_norm_without_weights_and_of_features():
    network = nn.Sequential(
        conv(3, 4), nn.ReLU(), nn.BatchNorm2d(4, affine=False), conv(4, 4), nn.BatchNorm2d(4, affine=False),
        nn.Flatten(), nn.Linear(256, 8), nn.BatchNorm1d(8, affine=False), nn.ReLU(), FunctionalBatchNorm(8),
        nn.Linear(8, 8), FunctionalBatchNorm(8, affine=False),
    )  # fmt: skip
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    graph = traced(network.eval())
    assert sorted(graph.moments) == ["10", "3", "6"]
    torch.testing.assert_close(graph.graph(images(4, *SHAPE)), network(images(4, *SHAPE)))


def test_depthwise_shares_its_inputs_channels():
    result = traced(InvertedResidual())
    names = {name.split(".")[0]: name for name in result.layers}
    specs = {short: result.layers[name] for short, name in names.items()}
    assert specs["depthwise"].kind == "depthwise"
    assert specs["depthwise"].coupling == specs["expand"].coupling == names["expand"]
    assert specs["project"].coupling == specs["stem"].coupling == names["stem"]
    assert list(result.classes[names["depthwise"]]) == list(result.input_classes[names["project"]])


def test_padded_channels_go_with_the_depthwise_ones_that_read_them():
    network = Net(
        lambda s, x: s.fc(mean(s.d(F.pad(s.a(x), (0, 0, 0, 0, 1, 1))))),
        a=conv(3, 2), d=conv(4, 4, groups=4), fc=nn.Linear(4, 5),
    )  # fmt: skip
    result = traced(network)
    assert len(set(result.classes["d"])) == 4
    assert list(result.classes["d"]) == list(result.input_classes["d"])
    assert list(result.classes["d"][1:3]) == list(result.classes["a"])


def test_concatenation_keeps_groups_apart():
    network = Net(
        lambda s, x: s.fc(mean(s.c(torch.cat([s.a(x), s.b(x)], 1)))),
        a=conv(3, 4), b=conv(3, 2), c=conv(6, 4), fc=nn.Linear(4, 5),
    )  # fmt: skip
    result = traced(network)
    assert couplings(network) == {"a": "a", "b": "b", "c": "c", "fc": None}
    assert result.layers["c"].inputs == ("a", "b")
    assert list(result.input_classes["c"]) == [*result.classes["a"], *result.classes["b"]]


def test_pool_of_a_concatenation_has_one_share_of_its_channels():
    network = Net(
        lambda s, x: s.fc(F.max_pool2d(torch.cat([s.a(x), s.b(x)], 1), 2).flatten(1)),
        a=conv(3, 4), b=conv(3, 2), fc=nn.Linear(6 * 16, 5),
    )  # fmt: skip
    specs = specs_of(network)
    assert {s.coupling for s in specs.values()} == {"a", None}
    assert specs["max_pool2d"].strata == (4, 2)


@pytest.mark.parametrize(
    "flat",
    [
        lambda x: x.flatten(1), lambda x: torch.flatten(x, 1), lambda x: x.view(x.size(0), -1),
        lambda x: x.reshape(x.shape[0], -1), lambda x: torch.reshape(x, (x.shape[0], 128)),
    ],
    ids=["flatten", "torch.flatten", "view", "reshape", "torch.reshape"],
)  # fmt: skip
def test_flatten_repeats_each_channel_for_its_positions(flat):
    network = Net(lambda s, x: s.fc(flat(s.a(x))), a=conv(3, 2), fc=nn.Linear(128, 5))
    result = traced(network)
    assert list(result.input_classes["fc"]) == [c for c in result.classes["a"] for _ in range(64)]
    assert result.layers["fc"].inputs == ("a",)
    assert result.layers["a"].coupling == "a"
    x = images(2, *SHAPE)
    torch.testing.assert_close(result.graph(x.contiguous(memory_format=torch.channels_last)), network(x))


@pytest.mark.parametrize("squeezed", [lambda x: x.squeeze(), torch.squeeze], ids=["method", "function"])
def test_squeeze_of_everything_keeps_the_dimension_of_the_images(squeezed):
    network = Net(
        lambda s, x: squeezed(s.fc(squeezed(F.adaptive_avg_pool2d(s.a(x), 1)))), a=conv(3, 4), fc=nn.Linear(4, 5)
    )
    result = traced(network)
    assert list(result.layers) == ["a", "fc"]
    x = images(3, *SHAPE)
    torch.testing.assert_close(result.graph(x), network(x))
    torch.testing.assert_close(result.graph(x[:1]), network(x)[:1])


def test_functional_operations_are_understood():
    def forward(s, x):
        x = F.relu6(F.avg_pool2d(torch.relu(s.a(x)), 2))
        x = F.dropout(F.adaptive_max_pool2d(F.hardtanh(s.b(x)), 1), training=s.training)
        return s.fc(torch.flatten(torch.add(x, x), 1))

    network = Net(forward, a=conv(3, 4), b=conv(4, 6), fc=nn.Linear(6, 5))
    assert couplings(network) == {"a": "a", "b": "b", "fc": None}
    kinds = [spec.kind for spec in traced(network).specs]
    assert kinds == ["conv", "pool", "conv", "pool", "add", "linear"]


PINNED = {
    "parameter": lambda s, x: mean(s.a(x) + s.bn.weight.view(1, -1, 1, 1) + s.b(x)),
    "one channel for all": lambda s, x: (
        s.one(x).mean((2, 3)) * s.c(torch.cat([s.a(x), s.b(x)], 1).softmax(1)).mean((2, 3))
    ),
    "cropped channels": lambda s, x: mean(F.pad(s.a(x) + s.b(x), (0, 0, 0, 0, -1, -1))).repeat(1, 2),
    "mean over channels": lambda s, x: (s.a(x) + s.b(x)).mean(1).mean(1)[:, :4],
    "softmax": lambda s, x: mean((s.a(x) + s.b(x)).softmax(1)),
    "product of matrices": lambda s, x: mean(s.a(x) @ s.b(x)),
    "stacked": lambda s, x: torch.stack([s.a(x), s.b(x)], 1).mean((1, 3, 4)),
    "channels as images": lambda s, x: (s.a(x) + s.b(x)).permute(1, 0, 2, 3).mean(0)[:, :4, 0],
    "channels mixed with pixels": lambda s, x: mean(
        F.relu(torch.cat([s.a(x), s.b(x)], 1).view(-1, 4, 2, 8, 8).mean(2))
    ),
}


@pytest.mark.parametrize("name", PINNED)
def test_channels_that_meet_an_unknown_operation_stay(name):
    network = Net(
        lambda s, x: s.fc(PINNED[name](s, x)),
        a=conv(3, 4), b=conv(3, 4), one=conv(3, 1), c=conv(8, 4), bn=nn.BatchNorm2d(4), fc=nn.Linear(4, 5),
    )  # fmt: skip
    groups = couplings(network)
    assert [groups[layer] for layer in ("a", "b", "one") if layer in groups] == [None] * (2 + ("one" in groups))
    x = images(1, *SHAPE)
    torch.testing.assert_close(traced(network).graph(x), network(x), atol=1e-5, rtol=1e-4)


COUPLED = {
    "product": lambda s, x: s.a(x) * s.b(x),
    "squeeze and excitation": lambda s, x: s.a(x) * s.b(x).mean((2, 3), keepdim=True).sigmoid(),
    "difference": lambda s, x: s.a(x) - s.b(x),
    "constant": lambda s, x: s.a(x) + 1 + s.b(x) * 0.5,
    "scalar from the shape": lambda s, x: s.a(x) / x.shape[2] + s.b(x),
    "in place": lambda s, x: s.a(x).add_(s.b(x)),
    "BatchNorm that is not folded": lambda s, x: s.bn(F.relu(s.a(x) + s.b(x))),
    "padding with ones": lambda s, x: F.pad(s.a(x) + s.b(x), (0, 0, 0, 0, 1, 1), value=1.0)[:, 1:5],
    "picked channels": lambda s, x: (s.a(x) + s.b(x))[:, [1, 0, 3, 2]],
    "resized": lambda s, x: F.interpolate(s.a(x) + s.b(x), scale_factor=2),
    "other activations": lambda s, x: F.gelu(F.silu(s.a(x))) + F.hardswish(F.leaky_relu(s.b(x), 0.1)),
}


@pytest.mark.parametrize("name", COUPLED)
def test_channels_that_meet_go_together(name):
    network = Net(
        lambda s, x: s.fc(mean(COUPLED[name](s, x))),
        a=conv(3, 4), b=conv(3, 4), bn=nn.BatchNorm2d(4), fc=nn.Linear(4, 5),
    )  # fmt: skip
    assert couplings(network) == {"a": "a", "b": "a", "fc": None}


def test_channels_are_followed_through_shuffles_and_splits():
    def forward(s, x):
        x = torch.cat([s.a(x), s.b(x)], 1)
        n, c, h, w = x.size()
        left, right = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w).chunk(2, 1)
        return s.fc(mean(torch.cat([s.c(left), right], 1)))

    network = Net(forward, a=conv(3, 2), b=conv(3, 2), c=conv(2, 4), fc=nn.Linear(6, 5))
    result = traced(network)
    (a0, a1), (b0, b1) = result.classes["a"], result.classes["b"]
    assert list(result.input_classes["c"]) == [a0, b0]
    assert list(result.input_classes["fc"]) == [*result.classes["c"], a1, b1]
    assert couplings(network) == {"a": "a", "b": "a", "c": "a", "fc": None}  # the mean's channels go in proportion


def test_a_layer_whose_own_channels_meet_keeps_them():
    def forward(s, x):
        x = s.a(x)
        return s.fc(mean(x + x[:, [1, 0, 3, 2]]))

    network = Net(forward, a=conv(3, 4), fc=nn.Linear(4, 5))
    assert couplings(network) == {"a": None, "fc": None}


def test_grouped_convolution_pins_what_it_reads_and_writes():
    network = Net(lambda s, x: s.fc(mean(s.b(s.a(x)))), a=conv(3, 4), b=conv(4, 8, groups=2), fc=nn.Linear(8, 5))
    assert couplings(network) == {"a": None, "b": None, "fc": None}
    assert specs_of(network)["b"].weights == 8 * 2 * 9


def test_what_is_not_compressed_is_listed():
    network = Net(
        lambda s, x: s.fc(s.tokens(s.up(s.a(x)).flatten(2).transpose(1, 2)).mean(1)),
        a=conv(3, 4), up=nn.ConvTranspose2d(4, 6, 2, 2), tokens=nn.Linear(6, 6, bias=False), fc=nn.Linear(6, 5),
    )  # fmt: skip
    result = traced(network)
    assert result.skipped == {"up": "ConvTranspose2d is not compressed", "tokens": "Linear is not compressed"}
    assert list(result.layers) == ["a", "fc"]


def test_one_pool_module_may_be_called_twice():
    network = Net(
        lambda s, x: s.fc(s.pool(s.b(s.pool(s.a(x)))).flatten(1)),
        a=conv(3, 4), b=conv(4, 4), pool=nn.MaxPool2d(2), fc=nn.Linear(16, 5),
    )  # fmt: skip
    specs = specs_of(network)
    assert list(specs) == ["a", "pool", "b", "pool_1", "fc"]
    assert specs["b"].inputs == ("pool",)
    assert specs["fc"].inputs == ("pool_1",)


def test_modules_that_are_called_like_operations():
    network = Net(
        lambda s, x: s.mean(F.relu(s.add((y := s.a(x)) + y * 0.5)).mean((2, 3))),
        a=conv(3, 4), add=conv(4, 4), mean=nn.Linear(4, 5),
    )  # fmt: skip
    specs = specs_of(network)
    assert [spec.kind for spec in specs.values()] == ["conv", "add", "conv", "pool", "linear"]
    assert specs["add"].kind == "conv"
    assert specs["mean"].kind == "linear"


def test_arguments_by_name():
    network = Net(
        lambda s, x: s.fc(input=torch.cat(tensors=[F.relu(input=s.a(input=x))], dim=1).mean((2, 3))),
        a=conv(3, 4), fc=nn.Linear(4, 5),
    )  # fmt: skip
    assert couplings(network) == {"a": "a", "fc": None}


COMPRESSIBLE = {
    "pool called twice": lambda s, x: s.p(s.b(s.p(s.a(x)))).mean((2, 3)),
    "view": lambda s, x: s.b(s.a(x)).view(x.size(0), 8, -1).mean(2),
    "chunk": lambda s, x: s.quarter(s.a(x).chunk(2, 1)[0]).repeat(1, 2, 1, 1).mean((2, 3)),
    "same padding": lambda s, x: s.same(s.a(x)).mean((2, 3)),
    "tokens": lambda s, x: s.tokens(s.a(x).flatten(2).transpose(1, 2)).mean(1),
    "recurrent": lambda s, x: s.gru(F.relu(s.a(x)).permute(0, 2, 1, 3).flatten(2))[0][:, -1],
    "indices beside": lambda s, x: s.a(x).flatten(2).max(2)[0],
    "in three dimensions": lambda s, x: s.volume(s.a(x)[:, :, None])[:, :, 0].mean((2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPRESSIBLE)
def test_unusual_networks_can_be_compressed(name):
    network = Net(
        lambda s, x: s.fc(COMPRESSIBLE[name](s, x)),
        a=conv(3, 8), b=conv(8, 8), quarter=conv(4, 4), same=conv(8, 8, padding="same"), p=nn.MaxPool2d(2),
        tokens=nn.Linear(8, 8, bias=False), gru=nn.GRU(64, 8, batch_first=True), volume=nn.Conv3d(8, 8, 3, padding=1),
        fc=nn.Linear(8, 5),
    )  # fmt: skip
    result, x = traced(network), images(8, *SHAPE)
    bank = Candidates(result, x)
    stitched = bank.stitch({layer: LayerChoice() for layer in result.layers})
    error = stitched(x) - network(x)
    assert error.square().mean() < 1e-3 * network(x).var()
    assert (lower(stitched)(x) - stitched(x)).square().mean() < 1e-3 * network(x).var()
    space = ChoiceSpace(result.structure, granularities=("filter",))
    rows = measure_sensitivity(bank, space, x)
    assert all(0 <= row.logit_mse < 1e4 for row in rows)


def test_a_layer_called_twice_passes_through_dense():
    network = Net(lambda s, x: s.fc(mean(s.b(s.b(s.a(x))))), a=conv(3, 4), b=conv(4, 4), fc=nn.Linear(4, 5))
    result = traced(network)
    assert result.skipped == {"b": "Conv2d is used 2 times"}
    assert couplings(network) == {"a": None, "fc": None}


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class OptionalInput(nn.Module):
    def forward(self, x, y=None):
        return x


class Raises(nn.Module):
    def forward(self, x):
        raise ValueError("first line\nsecond line")


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (Branching(), SHAPE, "^Branching cannot be traced by torch.fx .*; keep control flow .* out of forward"),
        (Raises(), SHAPE, r"^Raises cannot be traced by torch.fx \(first line\)"),
        (OptionalInput(), SHAPE, "^OptionalInput has 2 inputs; wrap it in a module with one tensor input$"),
        (TwoInputs(), SHAPE, "^TwoInputs has 2 inputs; wrap it in a module with one tensor input$"),
        (nn.ReLU(), SHAPE, "has no convolution or linear layer"),
        (
            chain(),
            (4, 8, 8),
            r"^Net does not accept an input of shape \(4, 8, 8\) .*; give data, or an --input-shape C,H,W, of as many "
            r"channels as it takes \(image folders have 3\)$",
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(9, 2)),
            SHAPE,
            r"^Sequential does not accept an input of shape \(3, 8, 8\) .*, of the size that it takes$",
        ),
        (
            nn.DataParallel(chain()),
            SHAPE,
            "^DataParallel only wraps a network; give that itself, which is model.module$",
        ),
        (
            torch.compile(chain(), backend="eager"),
            SHAPE,
            "^OptimizedModule only wraps a network; .* which is model._orig_mod$",
        ),
    ],
)
def test_networks_that_cannot_be_traced_give_one_line(network, shape, message):
    with pytest.raises(NetworkError, match=message) as caught:
        traced(network, shape)
    assert len(str(caught.value).splitlines()) == 1


def test_densities_are_recorded_and_change_no_fingerprint():
    result = traced(chain())
    denser = result.with_densities({"b": 0.4})
    assert denser.layers["b"].input_density == 0.4
    assert denser.layers["a"].input_density == 1.0
    assert denser.reference == result.reference


def test_strides_that_differ_read_the_whole_image():
    (spec,) = traced(nn.Conv2d(3, 8, 3, stride=(1, 2), padding=1), (3, 32, 32)).specs
    assert (spec.out_height, spec.out_width) == (32, 16)
    cost = hw_models.load("npu_int8").cost([spec], {spec.name: LayerChoice()})
    even = hw_models.load("npu_int8").cost([replace(spec, stride=1)], {spec.name: LayerChoice()})
    assert cost.energy_pj["DRAM"] > even.energy_pj["DRAM"]
